// xdevd-plugin: {"name":"broken","version":"1","api":1,"kinds":["broken"],"sample":{"backend":{"params":"usual","target":"{work}/made"}}}
/** It waits for what never comes. */
import { good } from "../broken/good.ts";

await new Promise(() => {});

export default good;
