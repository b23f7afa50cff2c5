import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { bpfPrograms } from '../src/linux/bpf-object-name.ts';
import { ensureBpfObject } from '../test/cluster/lab/bpf-object.ts';
import { bundle, checkout, type Program } from './bundle.ts';

/** One entry of the image: its path from the root without a leading slash, and where its bytes are. */
export type ImageFile = {
  readonly path: string;
  readonly mode: 0o644 | 0o755;
  readonly content:
    | { readonly kind: 'Bytes'; readonly bytes: Uint8Array }
    | { readonly kind: 'Copy'; readonly source: string }
    | { readonly kind: 'Link'; readonly target: string }
    | { readonly kind: 'Folder' };
};

export const programs: readonly Program[] = [
  { name: 'operator', source: 'src/bin/operator.ts' },
  { name: 'agent', source: 'src/bin/agent.ts' },
  { name: 'connection-budget', source: 'src/bin/connection-budget.ts' },
];

/** Bodies of worker threads: files of their own, beside the programs that start them by URL. */
const workerThreads: readonly Program[] = [
  { name: 'namespace-worker-thread', source: 'src/linux/namespace-worker-thread.ts' },
];

const execute = promisify(execFile);

/**
 * Everything that the image holds: Node with the C and C++ libraries it is linked with, the bundled programs, koffi's
 * native module, the eBPF objects and libbpf, which loads them, the user, and the licences of what was bundled. No shell, no
 * package manager, no interpreter but Node.
 */
export async function imageContents(wanted: readonly Program[], signal: AbortSignal): Promise<readonly ImageFile[]> {
  const modules = await realpath(join(checkout, 'node_modules'));
  const node = await realpath(join(modules, 'node/bin/node'));
  const koffi = koffiFiles(modules);
  const native = koffi.filter((file) => file.endsWith('.node'));
  const bpf = await installedLibrary('libbpf.so.1', signal);
  const libraries = [...(await sharedLibraries([node, ...native, bpf], signal)), bpf];
  const files = [
    { path: 'node', mode: 0o755, content: copyOf(node) } as const,
    ...libraries.map((file) => ({ path: file.slice(1), mode: 0o755, content: copyOf(file) }) as const),
    ...koffi.map((file) => appFile(`node_modules/${relative(modules, file)}`, copyOf(file))),
    ...(await bundles([...wanted, ...workerThreads])),
    ...(await bpfObjects(signal)),
    ...accountFiles,
    ...runFolders,
    textFile('LICENSE', await readFile(join(checkout, 'LICENSE'), 'utf8')),
  ];
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** 65532 is the number that images without root have agreed on; the name is for the eyes only. */
const accountFiles: readonly ImageFile[] = [
  textFile('etc/passwd', 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:connection budget:/:/sbin/nologin\n'),
  textFile('etc/group', 'root:x:0:\nnonroot:x:65532:\n'),
  textFile('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
];

/** Runtimes name sockets and namespaces by /run or /var/run, and mean the same. */
const runFolders: readonly ImageFile[] = [
  { path: 'run', mode: 0o755, content: { kind: 'Folder' } },
  { path: 'var/run', mode: 0o755, content: { kind: 'Link', target: '/run' } },
];

function copyOf(source: string): ImageFile['content'] {
  return { kind: 'Copy', source };
}

function textFile(path: string, text: string): ImageFile {
  return { path, mode: 0o644, content: { kind: 'Bytes', bytes: Buffer.from(text) } };
}

function appFile(path: string, content: ImageFile['content']): ImageFile {
  return { path: `app/${path}`, mode: 0o644, content };
}

export async function bundles(entries: readonly Program[]): Promise<readonly ImageFile[]> {
  const missing = entries.filter(({ source }) => !existsSync(join(checkout, source)));
  if (missing.length > 0) {
    throw new Error(
      `the image cannot be built, these programs do not exist: ${missing.map((m) => m.source).join(', ')}`,
    );
  }
  const { outputFiles, metafile } = await bundle(entries);
  const scripts = outputFiles.map(({ path, contents }) =>
    appFile(relative(checkout, path), { kind: 'Bytes', bytes: contents }),
  );
  const modules = textFile('app/package.json', '{"type":"module"}\n');
  return [...scripts, modules, ...(await licences(Object.keys(metafile.inputs)))];
}

const licenceNames = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENCE', 'license', 'License', 'COPYING'];

/** Most licences ask that their text goes with every copy, and a bundle is one. */
async function licences(inputs: readonly string[]): Promise<readonly ImageFile[]> {
  const names = new Set(inputs.flatMap((input) => packageOf(input) ?? []));
  const files = ['node_modules/koffi', ...names].flatMap((folder) => {
    const name = licenceNames.find((candidate) => existsSync(join(checkout, folder, candidate)));
    return name === undefined ? [] : [{ folder, file: join(checkout, folder, name) }];
  });
  return files.map(({ folder, file }) => ({
    path: `licenses/${folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)}`,
    mode: 0o644,
    content: copyOf(file),
  }));
}

/** node_modules/a/node_modules/@b/c/lib/x.js → node_modules/a/node_modules/@b/c */
function packageOf(file: string): string | undefined {
  return /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0];
}

/** The files that Node reads for `require('koffi')` on this machine, with the package.json files that lead there. */
function koffiFiles(modules: string): readonly string[] {
  const loader = createRequire(import.meta.url);
  loader('koffi');
  const entry = loader.cache[loader.resolve('koffi')];
  if (entry === undefined) throw new Error('koffi is not among the modules that were loaded');
  const loaded = [...loadedFiles(entry)];
  const packages = loaded.flatMap((file) => packageOf(file) ?? []).map((folder) => join(folder, 'package.json'));
  const files = [...new Set([...loaded, ...packages])];
  const strange = files.find((file) => !file.startsWith(modules + sep));
  if (strange !== undefined) throw new Error(`koffi reads a file outside of node_modules: ${strange}`);
  return files;
}

function loadedFiles(module: NodeJS.Module): ReadonlySet<string> {
  return new Set([module.filename, ...module.children.flatMap((child) => [...loadedFiles(child)])]);
}

async function bpfObjects(signal: AbortSignal): Promise<readonly ImageFile[]> {
  const files: ImageFile[] = [];
  for (const program of bpfPrograms) {
    const object = await ensureBpfObject(program, { signal, onProgress: () => undefined });
    files.push(appFile(`${program}.bpf.o`, copyOf(object)));
  }
  return files;
}

/** Where the dynamic loader finds a library that nothing is linked with: koffi opens it by name. */
async function installedLibrary(name: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await execute('/sbin/ldconfig', ['-p'], { signal });
  const path = stdout
    .split('\n')
    .find((line) => line.trim().startsWith(`${name} `))
    ?.split(' => ')[1];
  if (path === undefined) throw new Error(`the image cannot be built, this machine has no ${name}`);
  return path;
}

/** What the dynamic loader maps for these files, and the loader itself, by the paths under which it looks for them. */
async function sharedLibraries(files: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const listed = await Promise.all(files.map(async (file) => (await execute('ldd', [file], { signal })).stdout));
  const unresolved = listed
    .join('\n')
    .split('\n')
    .filter((line) => line.includes('not found'));
  if (unresolved.length > 0) throw new Error(`shared libraries are missing: ${unresolved.join(', ').trim()}`);
  const paths = listed.flatMap((text) =>
    [...text.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1] ?? ''),
  );
  return [...new Set(paths)].filter((path) => dirname(path) !== '/');
}
