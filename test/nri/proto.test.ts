import {
  createFileRegistry,
  fromBinary,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescService,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateProto } from '../../deploy/generate-proto.ts';
import { Plugin, Runtime } from '../../src/nri/gen/nri_pb.ts';

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nri-proto-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function readTree(root: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(root, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  return Object.fromEntries(
    await Promise.all(files.map(async (name) => [name, await readFile(join(root, name), 'utf8')])),
  );
}

describe('the generated messages', () => {
  it.each(['src/nri/gen', 'src/ttrpc/gen'])('are up to date in %s', async (generated) => {
    await generateProto(folder);
    expect(await readTree(join(folder, generated))).toEqual(await readTree(join(checkout, generated)));
  });
});

/** Names of our own for what the protocol abbreviates. */
const protocolNames: ReadonlyMap<string, string> = new Map([
  ['plugin_index', 'plugin_idx'],
  ['nri_version', 'NRI_version'],
]);

/** The services of containerd/nri itself, from the module that test/nri/adaptation requires. */
async function readProtocol(): Promise<ReturnType<typeof createFileRegistry>> {
  const module = ['list', '-m', '-f', '{{.Dir}}', 'github.com/containerd/nri'];
  const adaptation = join(checkout, 'test/nri/adaptation');
  await run('go', ['mod', 'download', 'github.com/containerd/nri'], { cwd: adaptation });
  const { stdout } = await run('go', module, { cwd: adaptation });
  await cp(join(stdout.trim(), 'pkg/api/api.proto'), join(folder, 'api.proto'));
  const buf = join(checkout, 'node_modules/@bufbuild/buf/bin/buf');
  const image = await run(process.execPath, [buf, 'build', folder, '-o', '-#format=binpb'], { encoding: 'buffer' });
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, image.stdout));
}

/** What the wire depends on, of all messages that are reached from a service: paths of names with number and type. */
function wireOf(ours: DescService, theirs: DescService): readonly (readonly [string, string, string])[] {
  return ours.methods.flatMap((method) => {
    const peer = theirs.methods.find(({ name }) => name === method.name);
    return [
      ...wireOfMessage(`${method.name} request`, method.input, peer?.input),
      ...wireOfMessage(`${method.name} response`, method.output, peer?.output),
    ];
  });
}

function wireOfMessage(
  path: string,
  ours: DescMessage,
  theirs: DescMessage | undefined,
): readonly (readonly [string, string, string])[] {
  return ours.fields.flatMap((field) => {
    const name = protocolNames.get(field.name) ?? field.name;
    const peer = theirs?.fields.find((candidate) => candidate.name === name);
    const nested = field.message === undefined ? [] : wireOfMessage(`${path}.${name}`, field.message, peer?.message);
    return [
      [`${path}.${name}`, fieldWire(field), peer === undefined ? 'absent' : fieldWire(peer, field.enum)],
      ...nested,
    ];
  });
}

function fieldWire(field: DescField, shown: DescEnum | undefined = field.enum): string {
  const values = shown?.values.map(
    ({ name }) => `${name}=${field.enum?.values.find((value) => value.name === name)?.number}`,
  );
  const kinds = [field.fieldKind, field.proto.label, field.proto.type, field.scalar];
  return [field.number, ...kinds, ...(values ?? [])].filter((part) => part !== undefined).join(' ');
}

describe('our part of the protocol', () => {
  it.each([Plugin, Runtime])('has the numbers and types of containerd: $name', { timeout: 120_000 }, async (ours) => {
    const protocol = await readProtocol();
    const theirs = protocol.getService(ours.typeName);
    const wire = wireOf(ours, theirs!);
    expect(wire.length).toBeGreaterThan(2);
    expect(wire.map(([path, our]) => `${path}: ${our}`)).toEqual(wire.map(([path, , their]) => `${path}: ${their}`));
  });
});
