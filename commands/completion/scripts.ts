/** What each shell loads. */
import bash from "../../packaging/completion/bash" with { type: "text" };
import fish from "../../packaging/completion/fish" with { type: "text" };
import zsh from "../../packaging/completion/zsh" with { type: "text" };

export const SCRIPTS = { bash, zsh, fish } as const;
