/** Sees to it that the nodes of a device that is set up say so, for as long as it is. */
import type { Findings, PluginManifest, ProofOfSetup } from "../../../contract/v1/plugin.ts";
import type { Observation } from "../../lifecycle/observation.ts";
import type { Log } from "../../log/log.ts";
import { coded } from "../../messages/table.ts";
import { proofOf } from "../plugin/manifest.ts";
import type { AttachIds } from "./attach_ids.ts";
import type { DeviceWriter } from "./device_writer.ts";
import { lossOf } from "./findings.ts";
import { reportOf } from "./observer.ts";

/** Plugins of which it was told that they do not say when they are done. */
const mutePlugins = new Set<string>();

/** Keeps the report of one device: node `hotplug-status`. */
export class ReportKeeper {
  readonly #manifest: PluginManifest;
  readonly #writer: DeviceWriter;
  readonly #attachIds: AttachIds;
  readonly #log: Log;
  /** The last look, if nothing was set up since then. */
  #settled: Observation | null = null;
  #setups = 0;
  /** Whether the last check has found node `hotplug-status` missing, and nothing else. */
  #isLost = false;

  constructor(manifest: PluginManifest, writer: DeviceWriter, attachIds: AttachIds, log: Log) {
    this.#manifest = manifest;
    this.#writer = writer;
    this.#attachIds = attachIds;
    this.#log = log;
  }

  /** How often something was set up: of what was seen before the last time, nothing is true any more. */
  get setups(): number {
    return this.#setups;
  }

  /** To be told of each look while no add runs. @param setups as they were when the look began */
  saw(observation: Observation, setups: number): void {
    if (setups === this.#setups) this.#settled = observation;
  }

  /** Something was set up: what was seen is out of date. */
  forget(): void {
    this.#setups++;
    this.#settled = null;
  }

  /**
   * After an add that has ended well.
   * @param nodes as they are now; null if that is not known
   * @throws Error when its nodes say that it has failed
   */
  async complete(nodes: Readonly<Record<string, string>> | null): Promise<void> {
    if (!this.#proof.includes("status") || nodes?.["hotplug-status"] === "connected") return;
    const said = await this.#writer.publishSuccess(this.#attachIds.recorded);
    if (said === null) return;
    if (reportOf(said.status) === "failed") {
      throw new Error(
        [`its setup ended well, but hotplug-status says ${said.status}`, said.error]
          .filter((part) => part !== "").join(": "),
      );
    }
    const { name } = this.#manifest;
    if (mutePlugins.has(name)) return;
    mutePlugins.add(name);
    this.#log.warning(coded(
      "script-without-status",
      `plugin ${name} set it up without hotplug-status: connected is written in its place (said ` +
        "once for this plugin)",
    ));
  }

  /** Of a device that somebody else has set up. @param seen the last look */
  async adopt(seen: Observation, attachId: string): Promise<void> {
    // Of others, the kernel deletes the node with what it stands for.
    const isMute = seen.report === "none" && this.#proof.includes("state");
    if (isMute && this.#proof.includes("status")) await this.#writer.publishSuccess(attachId);
  }

  /**
   * Whether the nodes still say that it is set up, and what is done if they do not.
   * @param found by the plugin
   * @param attachId that the directory must have
   */
  async check({ notices = [], mended = [] }: Findings, attachId: string | null): Promise<Findings> {
    const loss = this.#settled === null ? null : lossOf(this.#settled, this.#proof);
    const isOld = this.#isLost;
    this.#isLost = loss === "report";
    if (loss === null) return {};
    if (loss === "undone") {
      return { undone: "hotplug-status is gone, and its backend waits for it" };
    }
    if (loss === "failed") {
      return { notices: [...notices, "hotplug-status says by now that it has failed"] };
    }
    // The kernel deletes it with what it stands for: then it says the truth.
    if (notices.length > 0) return { notices: [...notices, "hotplug-status is gone"] };
    // It does so first.
    if (!isOld) return {};
    const said = await this.#writer.publishSuccess(attachId);
    if (said === null || reportOf(said.status) !== "none") return {};
    return { mended: [...mended, "hotplug-status was removed or changed: written again"] };
  }

  get #proof(): readonly ProofOfSetup[] {
    return proofOf(this.#manifest);
  }
}
