import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorOf, parseResult } from '../../src/addresses/cni-ipam.ts';
import { networkFileOf, parseDelegate, parseNetwork } from '../../src/addresses/cni-network.ts';
import { parseLease } from '../../src/addresses/host-local-store.ts';
import { AddressError, addressFaults } from '../../src/addresses/provider.ts';

const faultOf = (attempt: () => unknown): AddressError => {
  try {
    attempt();
  } catch (error) {
    if (error instanceof AddressError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const hostLocal = { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }]] };
const list = (...plugins: readonly object[]): string => JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins });

describe('a network that can be asked', () => {
  test.each([
    {
      name: "kubeadm's bridge",
      text: list({ type: 'bridge', bridge: 'cni0', isGateway: true, ipam: hostLocal }, { type: 'portmap' }),
      network: { name: 'pods', attachment: 'Bridged', storePath: '/var/lib/cni/networks/pods' },
    },
    {
      name: 'kindnet: ptp with a store of its own',
      text: JSON.stringify({
        cniVersion: '0.3.1',
        name: 'kindnet',
        plugins: [
          { type: 'ptp', ipMasq: false, ipam: { ...hostLocal, dataDir: '/run/cni-ipam-state' }, mtu: 1500 },
          { type: 'portmap', capabilities: { portMappings: true } },
        ],
      }),
      network: { name: 'kindnet', attachment: 'Routed', storePath: '/run/cni-ipam-state/kindnet', cniVersion: '0.3.1' },
    },
    {
      name: 'one plugin without a list',
      text: JSON.stringify({
        cniVersion: '0.2.0',
        name: 'mynet',
        type: 'bridge',
        ipam: { type: 'host-local', subnet: '10.0.0.0/16' },
      }),
      network: { name: 'mynet', attachment: 'Bridged', cniVersion: '0.3.1' },
    },
    {
      name: 'with a service mesh chained',
      text: list({ type: 'bridge', ipam: hostLocal }, { type: 'istio-cni' }, { type: 'bandwidth' }),
      network: { name: 'pods' },
    },
  ])('is recognised: $name', ({ text, network }) => {
    expect(parseNetwork(text)).toMatchObject({ ipamType: 'host-local', ...network });
  });

  test('is recognised behind flannel, by what it wrote for a pod', () => {
    const flannel = parseNetwork(
      JSON.stringify({
        name: 'cbr0',
        cniVersion: '0.3.1',
        plugins: [{ type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } }, { type: 'portmap' }],
      }),
    );
    expect(flannel).toEqual({ name: 'cbr0', cniVersion: '0.3.1', delegatesIn: '/var/lib/cni/flannel' });
    const written = { cniVersion: '0.3.1', name: 'cbr0', type: 'bridge', ipMasq: false, ipam: hostLocal, mtu: 1450 };
    expect(parseDelegate(flannel as never, JSON.stringify(written))).toMatchObject({
      name: 'cbr0',
      attachment: 'Bridged',
      storePath: '/var/lib/cni/networks/cbr0',
      ipam: hostLocal,
    });
    expect(faultOf(() => parseDelegate(flannel as never, '{"type":"bridge"}')).kind).toBe('NetworkUnsupported');
  });
});

describe('a network that cannot be asked', () => {
  test.each([
    ['calico', list({ type: 'calico', ipam: { type: 'calico-ipam' } }, { type: 'portmap' })],
    ['cilium-cni', list({ type: 'cilium-cni' })],
    ['aws-cni', list({ type: 'aws-cni' }, { type: 'egress-cni' }, { type: 'portmap' })],
    ['azure-vnet', list({ type: 'azure-vnet', ipam: { type: 'azure-vnet-ipam' } })],
    ['ovn-k8s-cni-overlay', list({ type: 'ovn-k8s-cni-overlay', ipam: {} })],
    ['antrea', list({ type: 'antrea', ipam: hostLocal })],
    ['multus', JSON.stringify({ name: 'multus-cni-network', type: 'multus', delegates: [] })],
    ['macvlan', list({ type: 'macvlan', ipam: hostLocal })],
    ['whereabouts', list({ type: 'bridge', ipam: { type: 'whereabouts', range: '10.0.0.0/24' } })],
    ['dhcp', list({ type: 'bridge', ipam: { type: 'dhcp' } })],
    ['cilium-cni', list({ type: 'bridge', ipam: hostLocal }, { type: 'cilium-cni' })],
    ['firewall', list({ type: 'bridge', ipam: hostLocal }, { type: 'firewall' })],
    ['something-new', list({ type: 'something-new', ipam: hostLocal })],
  ])('is refused by the name of its plugin: %s', (type, text) => {
    const { kind, message } = faultOf(() => parseNetwork(text));
    expect([kind, message]).toEqual(['NetworkUnsupported', expect.stringContaining(`plugin "${type}" `)]);
  });

  test('is refused where each address of a pod is translated', () => {
    const fault = faultOf(() => parseNetwork(list({ type: 'bridge', ipMasq: true, ipam: hostLocal })));
    expect(fault).toMatchObject({ kind: 'NetworkUnsupported', message: expect.stringContaining('ipMasq') });
  });

  test.each([
    '',
    '[]',
    '{}',
    '{"name":"pods","plugins":[]}',
    list({ ipam: hostLocal }),
    '{"name":"../x","type":"bridge"}',
  ])('is unknown: %s', (text) => {
    expect(faultOf(() => parseNetwork(text)).kind).toBe('NetworkUnknown');
  });

  test('is unknown where its store is no absolute path', () => {
    const text = list({ type: 'bridge', ipam: { ...hostLocal, dataDir: 'leases' } });
    expect(faultOf(() => parseNetwork(text))).toMatchObject({
      kind: 'NetworkUnknown',
      message: expect.stringContaining('"leases"'),
    });
  });
});

test('the configuration is the first by name of those that a runtime reads', () => {
  const names = ['multus.d', '99-loopback.conf', '10-flannel.conflist', '05-old.conflist.bak', '.10-hidden', 'README'];
  expect(networkFileOf(names)).toBe('10-flannel.conflist');
  expect(networkFileOf(['README'])).toBeUndefined();
});

const result = (...ips: readonly object[]): string => JSON.stringify({ cniVersion: '1.0.0', ips });

describe('what an IPAM plugin says', () => {
  test.each([
    [
      '0.3.1',
      JSON.stringify({ cniVersion: '0.3.1', ips: [{ version: '4', address: '10.0.0.2/24' }], dns: {} }),
      ['10.0.0.2'],
    ],
    [
      '1.0.0',
      result({ address: '10.0.0.2/24', gateway: '10.0.0.1' }, { address: 'fd00::2/64' }),
      ['10.0.0.2', 'fd00::2'],
    ],
    ['1.1.0', JSON.stringify({ cniVersion: '1.1.0', ips: [{ address: '10.0.0.2/24' }] }), ['10.0.0.2']],
  ])('of version %s gives addresses', (_, text, addresses) => {
    expect(parseResult(text)).toEqual(addresses);
  });

  test.each([
    ['no JSON', 'Error'],
    ['no address', result()],
    ['a name', result({ address: 'host/24' })],
    ['an old form', '{"ip4":{"ip":"10.0.0.2/24"}}'],
  ])('and is %s is a failure', (_, text) => {
    expect(faultOf(() => parseResult(text)).kind).toBe('ProviderFailed');
  });

  test.each([
    [
      'an exhausted range',
      {
        status: 1,
        stdout:
          '{"code":999,"msg":"failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6"}',
        stderr: '',
      },
      'RangeExhausted',
      'range set: 10.0.0.1-10.0.0.6',
    ],
    [
      'an error object',
      { status: 1, stdout: '{"code":7,"msg":"bad config","details":"no type"}', stderr: '' },
      'ProviderFailed',
      'bad config: no type',
    ],
    ['a crash', { status: 2, stdout: '', stderr: 'panic: no\n' }, 'ProviderFailed', 'panic: no'],
    ['silence', { status: 3, stdout: '', stderr: '' }, 'ProviderFailed', 'ended with status 3'],
  ] as const)('when it fails by %s is the reason', (...row) => {
    const [, ended, kind, message] = row;
    expect(errorOf(ended)).toMatchObject({ kind, message: expect.stringContaining(message) });
  });

  test('is never more than a sentence, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), fc.string({ maxLength: 2000 }), (stdout, stderr) => {
        const { kind, message } = errorOf({ status: 1, stdout, stderr });
        expect(addressFaults).toContain(kind);
        expect(message.length).toBeLessThanOrEqual(300);
      }),
    );
  });
});

describe('a file of the store', () => {
  const modifiedAtMs = 5;

  test.each([
    ['10.0.0.2', 'abc\r\neth0', { address: '10.0.0.2', containerId: 'abc', interfaceName: 'eth0', takenAtMs: 5 }],
    ['fd00::2', 'abc\ncb12\n', { address: 'fd00::2', containerId: 'abc', interfaceName: 'cb12', takenAtMs: 5 }],
    ['10.0.0.2', 'abc', undefined],
    ['lock', 'abc\r\ncb0', undefined],
    ['last_reserved_ip.0', '10.0.0.2', undefined],
  ])('%s with %j is %j', (name, text, lease) => {
    expect(parseLease(name, { text, modifiedAtMs })).toEqual(lease);
  });

  test('is a lease or none, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { containerId = 'a', interfaceName = 'b' } = parseLease('10.0.0.2', { text, modifiedAtMs }) ?? {};
        expect(containerId).toMatch(/^[\w.-]+$/);
        expect(interfaceName).toMatch(/^[^\s/]{1,15}$/);
      }),
    );
  });
});
