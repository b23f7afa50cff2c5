import { isIP } from 'node:net';
import { attachedAddresses, mergeNetworks } from '../../../src/addresses/network-annotation.ts';
import { parseAttachmentConfig } from '../../../src/addresses/attachment-config.ts';
import { errorOf, parseResult } from '../../../src/addresses/cni-ipam.ts';
import { parseDelegate, parseNetwork } from '../../../src/addresses/cni-network.ts';
import { parseLease } from '../../../src/addresses/host-local-store.ts';
import { AddressError } from '../../../src/addresses/provider.ts';
import { type Decoder, requireTrue, unlessRefused } from '../decoder.ts';

const isAddressError = (error: unknown): boolean => error instanceof AddressError;

const range = { subnet: '10.1.0.0/24', rangeStart: '10.1.0.10', rangeEnd: '10.1.0.90', gateway: '10.1.0.1' };
const hostLocal = {
  type: 'host-local',
  dataDir: '/var/lib/cni/networks',
  ranges: [[range], [{ subnet: 'fd00::/64' }]],
};
const bridge = { type: 'bridge', bridge: 'cni0', ipam: hostLocal };
const list = { name: 'podnet', cniVersion: '1.0.0', plugins: [bridge, { type: 'portmap' }] };

const network: Decoder = {
  name: 'cni-network',
  seeds: [
    JSON.stringify(list),
    JSON.stringify({ name: 'podnet', cniVersion: '0.3.1', ...bridge }),
    JSON.stringify({ name: 'cbr0', plugins: [{ type: 'flannel', delegate: {} }] }),
  ],
  check: (input) => {
    const text = input.toString('utf8');
    const read = unlessRefused(isAddressError, () => parseNetwork(text));
    if (read !== undefined && 'ipam' in read) JSON.stringify(read);
    const delegating = { name: 'cbr0', cniVersion: '0.3.1', delegatesIn: '/var/lib/cni/flannel' };
    const delegate = unlessRefused(isAddressError, () => parseDelegate(delegating, text));
    for (const store of [read, delegate]) {
      if (store === undefined || !('storePath' in store)) continue;
      requireTrue(store.storePath.startsWith('/') && !store.storePath.includes('/..'), 'a store is inside its folder');
    }
  },
};

const attachment: Decoder = {
  name: 'attachment-config',
  seeds: [
    JSON.stringify({
      ...list,
      plugins: [{ type: 'macvlan', ipam: { ...hostLocal, routes: [{ dst: '0.0.0.0/0' }] } }, { type: 'sbr' }],
    }),
    JSON.stringify({
      type: 'macvlan',
      ipam: {
        type: 'whereabouts',
        range: '192.0.2.10-192.0.2.20/24',
        exclude: ['192.0.2.12/30'],
        ipRanges: [{ range: 'fd00::/120' }],
      },
    }),
    JSON.stringify({
      type: 'bridge',
      capabilities: { ips: true },
      ipam: { type: 'static', addresses: [{ address: '10.0.0.1/24' }] },
    }),
  ],
  words: ['10.0.0.0/33', '/', '-', '::', '0.0.0.0/0'],
  check: (input) => {
    const config = parseAttachmentConfig(input.toString('utf8'));
    const sets = config?.ipam.kind === 'Ranges' ? config.ipam.sets : [];
    for (const { subnets, addresses } of sets) {
      const size = subnets.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
      requireTrue(addresses >= 0 && addresses <= Number(size), 'a range has no more addresses than its subnets');
    }
  },
};

const ipam: Decoder = {
  name: 'cni-ipam',
  seeds: [
    JSON.stringify({
      cniVersion: '1.0.0',
      ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
      dns: {},
    }),
    JSON.stringify({
      code: 999,
      msg: 'failed to allocate for range 0: no IP addresses available in range set',
      details: '',
    }),
  ],
  check: (input) => {
    const stdout = input.toString('utf8');
    const addresses = unlessRefused(isAddressError, () => parseResult(stdout)) ?? [];
    requireTrue(
      addresses.every((ip) => isIP(ip) !== 0),
      'addresses are addresses',
    );
    const { message } = errorOf({ status: 1, stdout, stderr: stdout });
    requireTrue(
      message.length > 0 && message.length <= 300 && !/[\p{Cc}]/u.test(message),
      'a failure is one short line',
    );
  },
};

const hostLocalLease: Decoder = {
  name: 'host-local-lease',
  seeds: ['0123456789abcdef\r\neth0', 'abc\ncb12', 'x\ny\nz'],
  check: (input) => {
    const lease = parseLease('10.1.0.5', { text: input.toString('utf8'), modifiedAtMs: 1 });
    requireTrue(lease === undefined || !/[\s/]/.test(lease.containerId + lease.interfaceName), 'a lease has names');
  },
};

const request = { name: 'net-a', namespace: 'edge' };

const networks: Decoder = {
  name: 'network-annotation',
  seeds: [
    'edge/net-b@eth1, net-c',
    JSON.stringify([{ name: 'net-b', namespace: 'edge', interface: 'cb0', ips: ['10.0.0.1'] }, { name: 'x' }]),
    JSON.stringify([{ name: 'edge/net-a', interface: 'cb0', ips: ['192.0.2.5', 'fd00::5'], mac: '', dns: {} }]),
  ],
  words: ['cb0', '@', '/', ','],
  check: (input) => {
    const text = input.toString('utf8');
    requireTrue(attachedAddresses(text, ['cb0', 'cb1']) >= 0, 'addresses are counted');
    const merged = mergeNetworks(text, [], [request, request]);
    if (merged === undefined) return;
    requireTrue(new Set(merged.interfaces).size === 2, 'each request has an interface of its own');
    const again = mergeNetworks(merged.value, merged.interfaces, [request, request]);
    requireTrue(again?.value === merged.value, 'asking twice changes nothing');
    const gone = mergeNetworks(merged.value, merged.interfaces, []);
    const own = mergeNetworks(text, [], [request])?.value ?? '';
    requireTrue(gone !== undefined && own.length > (gone.value ?? '').length, 'what was asked is taken away again');
  },
};

export const addressDecoders: readonly Decoder[] = [network, attachment, ipam, hostLocalLease, networks];
