/** The images of minimal driver domains, as `npm run minimal-domain` makes them, with bridges and image files. */
import * as fs from "node:fs";
import { join } from "node:path";
import type { Kernel } from "../../../compile/image/kernel.ts";
import { minimalDomain, stockDomain } from "../../../compile/minimal/archive.ts";
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
echo the lab is set up
`;

/**
 * Writes the images into a run's directory.
 * @param daemon compiled with `vbd` and `vif` only
 * @returns the files: with it, and the same with `xl devd`
 */
export function writeMinimal(directory: string, kernel: Kernel, daemon: string) {
  const parts = { kernel, modules: [], setup };
  const images = { minimal: minimalDomain({ ...parts, daemon }), stock: stockDomain(parts) };
  const file = (name: keyof typeof images) => {
    const path = join(directory, `${name}.cpio.zst`);
    fs.writeFileSync(path, compress(images[name].toBytes()));
    return path;
  };
  return { minimal: file("minimal"), stock: file("stock") };
}
