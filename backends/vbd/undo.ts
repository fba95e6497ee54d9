/** What undoing a block device's attach needs when the store cannot tell any more. */
export interface VbdUndo {
  readonly script?: string;
  /** The target as the toolstack wrote it. */
  readonly params?: string;
  /** Loop devices that carried the target before the attach, by name, separated by blanks. */
  readonly loops?: string;
  /** The loop device that the script set up, if any: `/dev/loop0`. */
  readonly node?: string;
  /** The same with what tells its uses apart: `/dev/loop0#17`. */
  readonly use?: string;
  /** Of a script's device: its number, and which use of it (Linux 5.15 and later): `7:0#17`. */
  readonly disk?: string;
  /** Of a loop device: what it carried then, as the kernel names it. */
  readonly backing?: string;
  /** Whether the block device that its script has named was another device's already. */
  readonly foreign?: boolean;
  /** Whether it was set up without a script, and is to be undone so. */
  readonly native?: boolean;
  /** Of a native attach of a file: the name that its loop device bears or was about to bear. */
  readonly tag?: string;
  /** Identity of that file. */
  readonly file?: string;
}
