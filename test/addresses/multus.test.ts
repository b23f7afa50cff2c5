import { describe, expect, it } from 'vitest';
import { attachmentKey, attachmentOffer, attachmentRequests } from '../../src/addresses/multus.ts';
import { connectionBudgetSpec } from '../../src/api/connection-budget.ts';

const specTo = (...destinations: readonly object[]) =>
  connectionBudgetSpec.parse({
    selector: { matchLabels: { app: 'a' } },
    outbound: destinations.map((destination, at) => ({ name: `flow-${at}`, connections: 1000, destination })),
  });
const onLink = { addresses: { ips: ['192.0.2.250'], ports: [443] } };
const onLink6 = { addresses: { ips: ['2001:db8::fa'], ports: [443] } };
const away = { addresses: { ips: ['203.0.113.9'], ports: [443] } };
const service = { service: { name: 'broker', port: 1883 } };

const attachmentWith = (ipam: object, plugins: readonly object[] = []) => ({
  namespace: 'edge',
  name: 'net-a',
  config: JSON.stringify({ cniVersion: '1.0.0', plugins: [{ type: 'macvlan', ipam }, ...plugins] }),
});
const four = Array.from({ length: 4 }, (_, at) => [
  { subnet: '192.0.2.0/24', rangeStart: `192.0.2.${at + 1}0`, rangeEnd: `192.0.2.${at + 1}9` },
]);
const hostLocal = (rest: object = { ranges: four }, plugins: readonly object[] = []) =>
  attachmentWith({ type: 'host-local', ...rest }, plugins);
const fixed = (ipam: object = {}, ips = true) => ({
  ...hostLocal(),
  config: JSON.stringify({ type: 'macvlan', capabilities: { ips }, ipam: { type: 'static', ...ipam } }),
});
const given = ['192.0.2.5/24', '192.0.2.6/24', '192.0.2.7/24'];

const offerOf = (
  attachment: ReturnType<typeof hostLocal> | undefined,
  spec = specTo(onLink),
  ips: readonly string[] = [],
) => attachmentOffer('edge/net-a', attachment, { spec, given: ips });

const requests = (attachment: ReturnType<typeof hostLocal>, extra: number, ips: readonly string[] = []) =>
  attachmentRequests(attachment, extra, { spec: specTo(onLink), given: ips });

it('is named in the namespace of the pod or in its own', () => {
  expect([attachmentKey('net-a', 'messaging'), attachmentKey('edge/net-a', 'messaging')]).toEqual([
    'messaging/net-a',
    'edge/net-a',
  ]);
});

describe('the most addresses that a pod can have', () => {
  it.each([
    // every attachment takes one of each range set: 10 times 4
    { of: hostLocal(), most: 40 },
    { of: hostLocal({ subnet: '192.0.2.0/24' }), most: 253 },
    { of: attachmentWith({ type: 'whereabouts', range: '192.0.2.248/29' }), most: 6 },
    { of: hostLocal({ ranges: [[{ subnet: '192.0.2.0/24' }], [{ subnet: '2001:db8::/125' }]] }), most: 6 },
  ])('of an attachment: $most', ({ of, most }) => {
    expect(offerOf(of)).toEqual({ most });
  });

  it.each([
    { ips: given, most: 3 },
    { ips: [...given, '2001:db8::5/64'], most: 3 },
  ])('of IPAM static are those that it is given: $ips', ({ ips, most }) => {
    expect(offerOf(fixed(), specTo(onLink), ips)).toEqual({ most });
  });

  it('is that of the family which has fewer, where destinations have both', () => {
    expect(offerOf(fixed(), specTo(onLink, onLink6), [...given, '2001:db8::5/64'])).toEqual({ most: 1 });
  });
});

describe('an attachment is refused', () => {
  it.each([
    { why: 'that does not exist', of: undefined, reason: 'AttachmentNotFound', message: 'edge/net-a does not exist' },
    { why: 'without a configuration', of: { ...hostLocal(), config: '' }, message: 'spec.config' },
    { why: 'with DHCP', of: attachmentWith({ type: 'dhcp' }), message: 'IPAM dhcp' },
    { why: 'without IPAM', of: attachmentWith({}), message: 'IPAM none' },
    {
      why: 'whose range is empty',
      of: hostLocal({ subnet: '192.0.2.0/24', rangeStart: '192.0.2.9', rangeEnd: '192.0.2.8' }),
      message: 'without any address',
    },
    { why: 'without the family', of: hostLocal(), spec: specTo(onLink6), message: 'no IPv6 range' },
    { why: 'that takes no ips', of: fixed({}, false), ips: given, message: '"capabilities": {"ips": true}' },
    {
      why: 'with fixed addresses',
      of: fixed({ addresses: [{ address: '192.0.2.5/24' }] }),
      ips: given,
      message: 'the same',
    },
    { why: 'that is given nothing', of: fixed(), message: 'connectionbudget.io/source-ips' },
    {
      why: 'that is given no prefix',
      of: fixed(),
      ips: ['192.0.2.5'],
      message: '"192.0.2.5": must be an address with',
    },
    {
      why: 'off the link',
      of: hostLocal(),
      spec: specTo(away),
      message: 'no route to 203.0.113.9: chain the CNI plugin sbr',
    },
    { why: 'for a Service', of: hostLocal(), spec: specTo(service), message: 'those of flow flow-0' },
  ])('$why', ({ of, spec, ips, message, reason = 'AttachmentNotUsable' }) => {
    const { most, refusal } = offerOf(of, spec, ips);
    expect(most).toBe(0);
    expect(refusal?.reason).toBe(reason);
    expect(refusal?.message).toContain(message);
  });

  it.each([
    { why: 'sbr is chained', of: hostLocal(undefined, [{ type: 'sbr' }]), spec: specTo(away, service) },
    { why: 'it is routed', of: hostLocal({ ranges: four, routes: [{ dst: '203.0.113.0/24' }] }), spec: specTo(away) },
    {
      why: 'all is routed',
      of: hostLocal({ ranges: four, routes: [{ dst: '0.0.0.0/0' }] }),
      spec: specTo(away, service),
    },
  ])('not for what is off the link where $why', ({ of, spec }) => {
    expect(offerOf(of, spec)).toEqual({ most: 40 });
  });
});

describe('what Multus is asked for', () => {
  const one = { name: 'net-a', namespace: 'edge' };
  it.each([
    { extra: 0, expected: [] },
    { extra: 4, expected: [one] },
    { extra: 5, expected: [one, one] },
    { extra: 8, expected: [one, one] },
  ])('$extra addresses of four range sets', ({ extra, expected }) => {
    expect(requests(hostLocal(), extra)).toEqual(expected);
  });

  it('of one range, one attachment an address', () => {
    expect(requests(attachmentWith({ type: 'whereabouts', range: '192.0.2.0/24' }), 3)).toEqual([one, one, one]);
  });

  it('of IPAM static, the first that are given, of each family', () => {
    const both = [...given, '2001:db8::5/64', '2001:db8::6/64'];
    expect(requests(fixed(), 2, both)).toEqual([
      { ...one, ips: ['192.0.2.5/24', '192.0.2.6/24', '2001:db8::5/64', '2001:db8::6/64'] },
    ]);
  });
});
