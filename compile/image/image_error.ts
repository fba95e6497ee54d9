/** A reason why an image cannot be made, told to the user in one line. */
export class ImageError extends Error {}
