/** Something that the small binary is made with is not to be had here: a program, a package, a mirror. */
export class MissingPart extends Error {}
