import { ImageError } from "../../../compile/image/image_error.ts";

/** A reason why the lab cannot run, told to the user in one line. */
export class LabError extends ImageError {}
