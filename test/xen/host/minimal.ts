/** The image of the minimal driver domain, as `npm run minimal-domain` makes it, with bridges and image files. */
import * as fs from "node:fs";
import { join } from "node:path";
import type { Kernel } from "../../../compile/image/kernel.ts";
import { minimalDomain } from "../../../compile/minimal/archive.ts";
import { compress } from "../../../compile/minimal/cost.ts";

/** What the lab has the domain do before its daemon starts; the same as domains/driver/boot. */
const setup = `
for number in 0 1; do
  ip link add br$number type bridge
  ip addr add 10.0.$number.1/24 dev br$number
  ip link set br$number up
done
mkdir -p /images
for number in 0 1 2 3 4 5 6 7 8 9; do
  truncate -s 16M /images/disk$number.img
done
`;

/** Writes the image into a run's directory. @param daemon compiled with `vbd` and `vif` only */
export function writeMinimal(directory: string, kernel: Kernel, daemon: string): string {
  const file = join(directory, "minimal.cpio.zst");
  fs.writeFileSync(file, compress(minimalDomain({ kernel, daemon, modules: [], setup }).toBytes()));
  return file;
}
