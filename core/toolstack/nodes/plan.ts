/**
 * Creating a device: which nodes, with which values and permissions, in which order (libxl_device.c,
 * `libxl__device_generic_add`). Plain data: who has a store writes it, in one transaction. Pure.
 */
import { backendPath, type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { XenbusState } from "../../xen/states.ts";
import type { Permission } from "../../xenstore/permissions.ts";
import { absent, type NodeAccess } from "../../xenstore/access.ts";

/** Nodes and their values, in the order in which they are written. */
export type NodeValues = readonly (readonly [name: string, value: string])[];

export interface Placement {
  readonly frontendDomid: number;
  readonly backendDomid: number;
  readonly devid: number;
}

/** A placement, and where scripts are that are named without a path, such as /etc/xen/scripts. */
export interface ScriptedPlacement extends Placement {
  readonly scriptDirectory: string;
}

/** What a kind adds to the nodes that all devices have. */
interface KindNodes {
  /** Backend kind; null for a device without a paravirtual backend. */
  readonly kind: string | null;
  /** Kind of the frontend's directory, and of the record's. */
  readonly frontendKind: string;
  readonly backend: NodeValues;
  /** Owned by the guest. */
  readonly frontend: NodeValues;
  /** In the frontend's directory, but owned by the backend. */
  readonly readOnlyFrontend?: NodeValues;
}

interface PlannedNode {
  readonly name: string;
  readonly value: string;
  /** Its own permissions; without them, those of its directory. */
  readonly permissions?: readonly Permission[];
}

/** One directory to be made: it is removed first, if there is one. */
export interface PlannedDirectory {
  readonly path: string;
  /** Permissions of the directory; without them, it inherits them. */
  readonly permissions?: readonly Permission[];
  readonly nodes: readonly PlannedNode[];
}

/** The three directories of a device; a device without a paravirtual backend has the record alone. */
export interface CreationPlan {
  /** null for a device without a paravirtual backend. */
  readonly id: DeviceId | null;
  readonly frontendKind: string;
  /** libxl's own: if it exists, the device does, and the plan must not be carried out. */
  readonly record: PlannedDirectory;
  readonly frontend: PlannedDirectory | null;
  readonly backend: PlannedDirectory | null;
}

/** One operation of the transaction. */
export type CreationStep =
  /** Removes a path and all below it; none there is no error. */
  | { readonly type: "remove"; readonly path: string }
  | { readonly type: "mkdir"; readonly path: string }
  | { readonly type: "permit"; readonly path: string; readonly permissions: readonly Permission[] }
  | { readonly type: "write"; readonly path: string; readonly value: string };

/** libxl's record of a device. */
export function recordPath(
  { frontendDomid, devid }: Pick<Placement, "frontendDomid" | "devid">,
  frontendKind: string,
): string {
  return `/libxl/${frontendDomid}/device/${frontendKind}/${devid}`;
}

export function planCreation(placement: Placement, nodes: KindNodes): CreationPlan {
  const { frontendDomid, backendDomid, devid } = placement;
  const { kind, frontendKind } = nodes;
  const path = recordPath(placement, frontendKind);
  if (kind === null) {
    const record = { path, nodes: planned(nodes.backend) };
    return { id: null, frontendKind, record, frontend: null, backend: null };
  }
  const id = { backendDomid, kind, frontendDomid, devid };
  const paths = { frontend: frontendPath(id, frontendKind), backend: backendPath(id) };
  const guestOwned = permissions(frontendDomid, backendDomid);
  const backendOwned = permissions(backendDomid, frontendDomid);
  // What is no part of a list is written by itself: the pointers to the other side.
  const pointers: NodeValues = [["frontend", paths.frontend], ["backend", paths.backend]];
  return {
    id,
    frontendKind,
    record: { path, nodes: planned([...pointers, ...nodes.backend]) },
    frontend: {
      path: paths.frontend,
      permissions: guestOwned,
      nodes: [
        { name: "backend", value: paths.backend },
        ...planned(nodes.frontend, guestOwned),
        ...planned(nodes.readOnlyFrontend ?? [], backendOwned),
      ],
    },
    backend: {
      path: paths.backend,
      permissions: backendOwned,
      nodes: planned([["frontend", paths.frontend], ...nodes.backend]),
    },
  };
}

/** A plan as operations, in libxl's order. */
export function creationSteps({ record, frontend, backend }: CreationPlan): CreationStep[] {
  // The pointers come first, the copy of the backend's nodes last.
  const pointers = backend === null ? 0 : 2;
  return [
    { type: "remove", path: record.path },
    ...writes(record, record.nodes.slice(0, pointers)),
    ...made(frontend),
    ...made(backend),
    ...writes(record, record.nodes.slice(pointers)),
  ];
}

/** Nodes that every backend has but for the pointer. */
export function commonBackend({ frontendDomid }: Placement): NodeValues {
  return [
    ["frontend-id", String(frontendDomid)],
    ["online", "1"],
    ["state", String(XenbusState.Initialising)],
  ];
}

/** Nodes that every frontend has but for the pointer. */
export function commonFrontend({ backendDomid }: Placement): NodeValues {
  return [["backend-id", String(backendDomid)], ["state", String(XenbusState.Initialising)]];
}

/** Nodes with a value; the others are left out. */
export function present(
  ...nodes: readonly (readonly [name: string, value: string | number | undefined])[]
): NodeValues {
  return nodes.flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as const]
  );
}

export function digit(value: boolean): string {
  return value ? "1" : "0";
}

/** A script's path: as it is, or in the directory for scripts. */
export function scriptPath(script: string, directory: string): string {
  return script.startsWith("/") ? script : `${directory}/${script}`;
}

function permissions(owner: number, reader: number): Permission[] {
  return [{ domid: owner, access: "none" }, { domid: reader, access: "read" }];
}

function planned(values: NodeValues, permissions?: readonly Permission[]): PlannedNode[] {
  return values.map(([name, value]) => ({ name, value, ...(permissions && { permissions }) }));
}

function made(directory: PlannedDirectory | null): CreationStep[] {
  if (directory === null) return [];
  const { path, permissions } = directory;
  return [
    { type: "remove", path },
    { type: "mkdir", path },
    ...(permissions === undefined ? [] : [{ type: "permit" as const, path, permissions }]),
    ...writes(directory, directory.nodes),
  ];
}

function writes(directory: PlannedDirectory, nodes: readonly PlannedNode[]): CreationStep[] {
  return nodes.flatMap(({ name, value, permissions }): CreationStep[] => {
    const path = `${directory.path}/${name}`;
    const write: CreationStep = { type: "write", path, value };
    return permissions === undefined ? [write] : [write, { type: "permit", path, permissions }];
  });
}

/** In order, and none waits for the one before. @param t a transaction */
export async function carryOut(t: NodeAccess, steps: readonly CreationStep[]): Promise<void> {
  await Promise.all(steps.map((step) => {
    switch (step.type) {
      case "remove":
        return absent(t.remove(step.path));
      case "mkdir":
        return t.makeDirectory(step.path);
      case "permit":
        return t.setPermissions(step.path, step.permissions);
      case "write":
        return t.write(step.path, step.value);
    }
  }));
}
