// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It fails when it is loaded. */
import { good } from "../broken/good.ts";

const nothing = (good as unknown as Record<string, { x: number }>)["nothing"];
export const taken = nothing!.x;

export default good;
