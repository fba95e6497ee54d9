import { ImageError } from "../../../compile/image/image_error.ts";

/** A reason why the suite cannot run, told to the user in one line. */
export class BootError extends ImageError {}
