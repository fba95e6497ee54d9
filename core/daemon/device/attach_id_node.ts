/**
 * Name of the node that marks the directory of one attach, in every backend directory that we
 * serve: only it tells a directory from another one of the same name and content.
 */
export const ATTACH_ID_NODE = "xdevd-attach";
