import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attachmentOffer, attachmentRequests } from '../../src/addresses/multus.ts';
import { attachedAddresses, mergeNetworks } from '../../src/addresses/network-annotation.ts';
import { connectionBudgetSpec } from '../../src/api/connection-budget.ts';
import { ensureComponents } from '../cluster/lab/build.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';

/**
 * Multus cannot be had here, so this test does what Multus does with the annotation: one call of the real CNI plugin for each
 * element, by its interface name, with `ips` as runtimeConfig where the plugin has the capability.
 */
let plugins = '';
const leases = mkdtempSync(join(tmpdir(), 'connbudget-leases-'));

beforeAll(async () => {
  const signal = AbortSignal.timeout(110_000);
  const paths = await ensureComponents(['bridge', 'host-local', 'static', 'sbr'], {
    signal,
    onProgress: () => undefined,
  });
  plugins = dirname(paths('bridge'));
});
afterAll(() => rmSync(leases, { recursive: true }));

interface Element {
  readonly interface: string;
  readonly ips?: readonly string[];
}

interface CniResult {
  readonly ips: readonly { readonly address: string }[];
}

interface Plugin {
  readonly type: string;
  readonly capabilities?: { readonly ips?: boolean };
}

/** The gateway of the bridge, 192.0.2.1, is the host's, and with it the far end of these tests. */
const chainOf = (
  name: string,
  ipam: { readonly type: string; readonly [field: string]: unknown },
  rest: readonly Plugin[] = [],
) => ({
  cniVersion: '1.0.0',
  name,
  plugins: [
    {
      type: 'bridge',
      bridge: 'br0',
      isGateway: true,
      capabilities: { ips: ipam.type === 'static' },
      ipam: { dataDir: leases, ...ipam },
    },
    ...rest,
  ] as readonly Plugin[],
});
type Chain = ReturnType<typeof chainOf>;

interface Place {
  readonly host: string;
  readonly pod: string;
}

const callPlugin = (
  input: object,
  type: string,
  { element, host, pod }: Place & { readonly element: Element },
): CniResult => {
  const environment = {
    ...process.env,
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: element.interface,
    CNI_PATH: plugins,
  };
  const command = ['netns', 'exec', host, join(plugins, type)];
  return JSON.parse(
    String(execFileSync('ip', command, { input: JSON.stringify(input), env: environment, stdio: 'pipe' })),
  ) as CniResult;
};

const delegate = ({ cniVersion, name, plugins: chain }: Chain, element: Element, place: Place): CniResult => {
  let prevResult: CniResult | undefined;
  for (const plugin of chain) {
    const runtimeConfig = plugin.capabilities?.ips === true ? { ips: element.ips } : {};
    const input = { cniVersion, name, ...plugin, runtimeConfig, prevResult };
    prevResult = callPlugin(input, plugin.type, { ...place, element });
  }
  return prevResult ?? { ips: [] };
};

const addressesOf = (result: CniResult): readonly string[] =>
  result.ips.map(({ address }) => address.split('/')[0] ?? '');

interface FarEnd extends Disposable {
  /** Whether a socket that is bound to the address gets through from the pod. */
  readonly isReachedFrom: (pod: string, localAddress: string) => boolean;
}

/** An address of the namespace that takes connections, as long as the block lasts. */
const farEndIn = async (namespace: string, ip: string): Promise<FarEnd> => {
  execFileSync('ip', ['-n', namespace, 'address', 'add', `${ip}/32`, 'dev', 'lo']);
  const serve = "net.createServer((s) => s.end()).listen(7000, '0.0.0.0', () => console.log('listening'))";
  const server = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', serve], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(server.stdout, 'data');
  return {
    isReachedFrom: (pod, localAddress) => {
      const target = JSON.stringify({ host: ip, port: 7000, localAddress });
      const open = `net.connect(${target}).on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
      const command = ['netns', 'exec', pod, process.execPath, '-e', open];
      return spawnSync('ip', command, { timeout: 3000 }).status === 0;
    },
    [Symbol.dispose]: () => void server.kill(),
  };
};

const sets = Array.from({ length: 4 }, (_, at) => [
  { subnet: '192.0.2.0/24', rangeStart: `192.0.2.${at + 1}0`, rangeEnd: `192.0.2.${at + 1}9` },
]);
const specTo = (ip: string) =>
  connectionBudgetSpec.parse({
    selector: { matchLabels: { app: 'a' } },
    outbound: [{ name: 'out', connections: 1000, destination: { addresses: { ips: [ip], ports: [7000] } } }],
  });

test.each([
  {
    ipam: 'host-local, four range sets',
    config: chainOf('four', { type: 'host-local', ranges: sets }),
    given: [],
    extra: 4,
    interfaces: 1,
  },
  {
    ipam: 'host-local, four range sets',
    config: chainOf('eight', { type: 'host-local', ranges: sets }),
    given: [],
    extra: 8,
    interfaces: 2,
  },
  {
    ipam: 'host-local, one range',
    config: chainOf('one', { type: 'host-local', subnet: '192.0.2.0/24' }),
    given: [],
    extra: 3,
    interfaces: 3,
  },
  {
    ipam: 'static, the addresses of the pod',
    config: chainOf('static', { type: 'static' }),
    given: ['192.0.2.5/24', '192.0.2.6/24', '192.0.2.7/24'],
    extra: 3,
    interfaces: 1,
  },
])('$ipam: $extra on $interfaces interfaces, and each serves', async ({ config, given, extra, interfaces }) => {
  using host = makeNetworkNamespace();
  using pod = makeNetworkNamespace();
  using far = await farEndIn(host.name, '192.0.2.1');
  const attachment = { namespace: 'edge', name: 'net-a', config: JSON.stringify(config) };
  const needs = { spec: specTo('192.0.2.1'), given };
  expect(attachmentOffer('edge/net-a', attachment, needs).most).toBeGreaterThanOrEqual(extra);

  const merged = mergeNetworks(undefined, [], attachmentRequests(attachment, extra, needs));
  const elements = JSON.parse(merged?.value ?? '[]') as readonly Element[];
  const place = { host: host.name, pod: pod.name };
  const status = elements.map((element) => ({
    interface: element.interface,
    ips: addressesOf(delegate(config, element, place)),
  }));
  const addresses = status.flatMap(({ ips }) => ips);

  expect(elements).toHaveLength(interfaces);
  expect(attachedAddresses(JSON.stringify(status), merged?.interfaces ?? [])).toBe(extra);
  expect(new Set(addresses).size).toBe(extra);
  expect(addresses.filter((address) => far.isReachedFrom(pod.name, address))).toEqual(addresses);
});

test.each([
  { chained: 'sbr', rest: [{ type: 'sbr' }], refusal: undefined, reached: 4 },
  { chained: 'nothing', rest: [], refusal: 'AttachmentNotUsable', reached: 0 },
])('with $chained behind the bridge $reached of 4 reach what is off the link', async ({ rest, refusal, reached }) => {
  using host = makeNetworkNamespace();
  using pod = makeNetworkNamespace();
  using far = await farEndIn(host.name, '203.0.113.9');
  const config = chainOf(`off-link-${rest.length}`, { type: 'host-local', ranges: sets }, rest);
  const attachment = { namespace: 'edge', name: 'net-a', config: JSON.stringify(config) };
  const offer = attachmentOffer('edge/net-a', attachment, { spec: specTo('203.0.113.9'), given: [] });

  const addresses = addressesOf(delegate(config, { interface: 'cb0' }, { host: host.name, pod: pod.name }));

  expect(offer.refusal?.reason).toBe(refusal);
  expect(addresses.filter((address) => far.isReachedFrom(pod.name, address))).toHaveLength(reached);
});
