import { execFileSync } from 'node:child_process';
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
  const paths = await ensureComponents(['bridge', 'host-local', 'static'], { signal, onProgress: () => undefined });
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

const bridge = (name: string, ipam: object, capabilities: object = {}) => ({
  cniVersion: '1.0.0',
  name,
  type: 'bridge',
  bridge: 'br0',
  capabilities,
  ipam: { dataDir: leases, ...ipam },
});

const delegate = (
  config: object,
  element: Element,
  { host, pod }: { readonly host: string; readonly pod: string },
): CniResult => {
  const input = JSON.stringify({
    ...config,
    ...(element.ips === undefined ? {} : { runtimeConfig: { ips: element.ips } }),
  });
  const environment = {
    ...process.env,
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: element.interface,
    CNI_PATH: plugins,
  };
  const output = execFileSync('ip', ['netns', 'exec', host, join(plugins, 'bridge')], { input, env: environment });
  return JSON.parse(String(output)) as CniResult;
};

const sets = Array.from({ length: 4 }, (_, at) => [
  { subnet: '192.0.2.0/24', rangeStart: `192.0.2.${at + 1}0`, rangeEnd: `192.0.2.${at + 1}9` },
]);
const spec = connectionBudgetSpec.parse({
  selector: { matchLabels: { app: 'a' } },
  outbound: [{ name: 'out', connections: 1000, destination: { addresses: { ips: ['192.0.2.1'], ports: [443] } } }],
});

test.each([
  {
    ipam: 'host-local with four range sets',
    config: bridge('four', { type: 'host-local', ranges: sets }),
    given: [],
    extra: 4,
    interfaces: 1,
  },
  {
    ipam: 'host-local with four range sets',
    config: bridge('eight', { type: 'host-local', ranges: sets }),
    given: [],
    extra: 8,
    interfaces: 2,
  },
  {
    ipam: 'host-local with one range',
    config: bridge('one', { type: 'host-local', subnet: '192.0.2.0/24' }),
    given: [],
    extra: 3,
    interfaces: 3,
  },
  {
    ipam: 'static with the addresses of the pod',
    config: bridge('static', { type: 'static' }, { ips: true }),
    given: ['192.0.2.5/24', '192.0.2.6/24', '192.0.2.7/24'],
    extra: 3,
    interfaces: 1,
  },
])('$ipam gives $extra addresses on $interfaces interfaces', ({ config, given, extra, interfaces }) => {
  using host = makeNetworkNamespace();
  using pod = makeNetworkNamespace();
  const attachment = { namespace: 'edge', name: 'net-a', config: JSON.stringify(config) };
  const needs = { spec, given };
  expect(attachmentOffer('edge/net-a', attachment, needs).most).toBeGreaterThanOrEqual(extra);

  const merged = mergeNetworks(undefined, [], attachmentRequests(attachment, extra, needs));
  const elements = JSON.parse(merged?.value ?? '[]') as readonly Element[];
  const status = elements.map((element) => ({
    interface: element.interface,
    ips: delegate(config, element, { host: host.name, pod: pod.name }).ips.map(
      ({ address }) => address.split('/')[0] ?? '',
    ),
  }));

  expect(elements).toHaveLength(interfaces);
  expect(attachedAddresses(JSON.stringify(status), merged?.interfaces ?? [])).toBe(extra);
  const inPod = String(execFileSync('ip', ['-n', pod.name, '-o', '-4', 'address', 'show', 'scope', 'global']));
  expect(new Set(inPod.match(/192\.0\.2\.\d+(?=\/)/g))).toEqual(new Set(status.flatMap(({ ips }) => ips)));
});
