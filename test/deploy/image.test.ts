import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureImage, type Image } from '../../deploy/image.ts';
import { imageContents } from '../../deploy/image-contents.ts';
import { run } from '../cluster/lab/command.ts';
import { at, checkout, quiet } from './chart-setting.ts';

const budget = join(checkout, 'examples/websocket-chat.yaml');
const plan = ['connection-budget.js', 'plan', '-f', '/budget.yaml', '-o', 'json'];

let directory: string;
let rootfs: string;
let image: Image;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-'));
  image = await ensureImage({ ...quiet, directory });
  rootfs = join(directory, 'rootfs');
  await unpack(image.archive, join(directory, 'archive'));
  await unpack(join(directory, 'archive/layer.tar'), rootfs);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

test('its tag is the version and a hash, and its default program is the command', async () => {
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  expect(image.reference).toMatch(new RegExp(`^connectionbudget\\.io/connection-budget:${version}-[0-9a-f]{12}$`));
  const config: unknown = JSON.parse(await readFile(join(directory, 'archive/config.json'), 'utf8'));
  expect(at(config, 'config')).toMatchObject({
    Entrypoint: ['/node'],
    Cmd: ['/app/connection-budget.js'],
    User: '65532:65532',
  });
});

test('nothing is built where nothing changed', async () => {
  expect(await ensureImage({ ...quiet, directory })).toEqual({ ...image, wasBuilt: false });
});

test('another build of the same sources has the same bytes', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    const again = await ensureImage({ ...quiet, directory: elsewhere });
    expect(again.reference).toBe(image.reference);
    expect(await digestOf(again.archive)).toBe(await digestOf(image.archive));
  } finally {
    await rm(elsewhere, { recursive: true });
  }
});

test('a program that does not exist is named, and nothing is written', async () => {
  const absent = { name: 'absent', source: 'src/bin/absent.ts' };
  await expect(imageContents([absent], quiet.signal)).rejects.toThrow('do not exist: src/bin/absent.ts');
});

test('only Node can be executed', async () => {
  const entries = await readdir(rootfs, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  expect(names.filter((name) => /^(sh|bash|busybox|npm|npx|apt|dash)$/.test(name))).toEqual([]);
  expect(names).toEqual(expect.arrayContaining(['node', 'operator.js', 'agent.js', 'namespace-worker-thread.js']));
});

test('from inside the command plans as it does from source', async () => {
  await cp(budget, join(rootfs, 'budget.yaml'));
  const source = join(checkout, 'src/bin/connection-budget.ts');
  const expected = await outcome(process.execPath, [source, 'plan', '-f', budget, '-o', 'json']);
  expect(await inside(plan)).toEqual(expected);
  expect(JSON.parse(expected.stdout)).toMatchObject({ kind: 'Plan', connections: { reachable: 84_696 } });
});

test('from inside koffi calls the C library', async () => {
  const program = `import { createRequire } from 'node:module';
    const koffi = createRequire('/app/')('koffi');
    console.log(koffi.load(null).func('int getppid()')() === process.ppid);`;
  await writeFile(join(rootfs, 'app/call.js'), program);
  expect(await inside(['call.js'])).toEqual({ status: 0, stdout: 'true\n' });
});

test('from inside libbpf opens the eBPF program, and finds its parts', async () => {
  const program = `import { createRequire } from 'node:module';
    const bpf = createRequire('/app/')('koffi').load('libbpf.so.1');
    const open = bpf.func('void *bpf_object__open(const char *)');
    const find = bpf.func('void *bpf_object__find_program_by_name(void *, const char *)');
    console.log(find(open('/app/spread.bpf.o'), 'spread4') !== null && find(open('/app/flows.bpf.o'), 'count_flows') !== null);`;
  await writeFile(join(rootfs, 'app/spread.js'), program);
  expect(await inside(['spread.js'])).toEqual({ status: 0, stdout: 'true\n' });
});

test.each(['operator.js', 'agent.js'])('from inside %s starts, and says what it misses', async (bundle) => {
  expect(await inside([bundle, '--no-such-flag'])).toMatchObject({ status: 2 });
});

type Outcome = { readonly status: number; readonly stdout: string };

/** In a user namespace: also an ordinary user may change the root there. */
function inside([bundle = '', ...args]: readonly string[]): Promise<Outcome> {
  return outcome('unshare', ['--map-root-user', `--root=${rootfs}`, '/node', `/app/${bundle}`, ...args]);
}

function outcome(file: string, args: readonly string[]): Promise<Outcome> {
  return run('sh', ['-c', '"$@" 2>/dev/null; echo "status $?"', 'sh', file, ...args], quiet).then((text) => {
    const end = text.lastIndexOf('status ');
    return { status: Number(text.slice(end + 'status '.length)), stdout: text.slice(0, end) };
  });
}

async function unpack(archive: string, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  await run('tar', ['-C', into, '-xf', archive, '--no-same-owner'], quiet);
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
