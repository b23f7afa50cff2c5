import type { Translator } from '../planner/demand.ts';

/** A translator of a flow as a router on the way. Addresses are those of the flow's peers. */
export interface Router {
  readonly translator: Translator;
  readonly portsPerAddress: number;
  readonly direction: 'Inbound' | 'Outbound';
  /** Inbound: the port of the pod; outbound: the addresses of the far end. */
  readonly podPort: number;
  readonly peers: readonly [first: number, last: number];
  /** Targets of the flow: an address of the router is used for as many connections in a row. */
  readonly targets: number;
}

/**
 * Addresses of the chain: link i (from 0) between namespace i on its left and i + 1 on its right is 10.i.0.0/16, the left
 * end 10.i.0.2, the right end 10.i.0.1; what a translator uses is 10.i.1.1 and on. Peers have 100.64.0.0/10.
 */
const peerPrefix = '100.64.0.0/10';

/** 0x0a000002 is "10.0.0.2". */
export const ipText = (ip: number): string => [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join('.');

const translatedAddress = (link: number, index: number): string => `10.${link}.1.${index + 1}`;

const leftEnd = (position: number, extra: readonly string[]): readonly string[] => [
  `address add 10.${position}.0.2/16 dev right`,
  ...extra.map((ip) => `address add ${ip}/16 dev right`),
  'link set right up',
  `route add default via 10.${position}.0.1 src 10.${position}.0.2`,
];

const rightEnd = (position: number): readonly string[] => [
  `address add 10.${position - 1}.0.1/16 dev left`,
  'link set left up',
  ...(position > 1 ? [`route add 10.0.0.0/8 via 10.${position - 1}.0.2`] : []),
];

/** For `ip -batch` in each namespace of a chain with so many routers. */
export const linkBatches = (routers: number) => {
  const last = routers + 1;
  return {
    link: 'link add right type veth peer name left netns PEER\n',
    addressesOf: (position: number, extra: readonly string[]): string =>
      [
        'link set lo up',
        ...(position > 0 ? rightEnd(position) : []),
        ...(position < last ? leftEnd(position, extra) : []),
        ...(position === last ? [`route add local ${peerPrefix} dev lo`] : []),
        '',
      ].join('\n'),
  };
};

/** The ports of a translator's address: above 1023 as long as they suffice. */
const portSpan = (ports: number): string => {
  const low = Math.max(1, Math.min(1024, 65_536 - ports));
  return `${low}-${low + ports - 1}`;
};

/**
 * Connections to k targets come in turn, so k in a row get one address: each target then has as many from every address.
 * Each rule sees what the ones before it left, and takes k of what remains.
 */
const sourceRules = (router: Router, link: number, match: string): readonly string[] => {
  const { addresses } = router.translator;
  const turn = Math.max(1, router.targets);
  return Array.from({ length: addresses }, (_, at) => {
    const left = addresses - at;
    const chosen = left === 1 ? '' : `numgen inc mod ${turn * left} < ${turn} `;
    return `${match} ${chosen}snat to ${translatedAddress(link, at)}:${portSpan(router.portsPerAddress)}`;
  });
};

export const spanText = ([first, last]: Router['peers']): string =>
  first === last ? ipText(first) : `${ipText(first)}-${ipText(last)}`;

/** The rules of the router at this position of the chain: source addresses and ports as its translator has them. */
export const routerRules = (router: Router | undefined, position: number): string => {
  if (router === undefined) return '';
  const outbound = router.direction === 'Outbound';
  const link = outbound ? position : position - 1;
  const match = outbound
    ? `oifname right ip daddr ${spanText(router.peers)} meta l4proto tcp`
    : `oifname left tcp dport ${router.podPort}`;
  return [
    'table ip proof {',
    '  chain translate {',
    '    type nat hook postrouting priority srcnat;',
    ...sourceRules(router, link, match).map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
};

/** For `ip -batch`: the addresses that a router translates to, which it must answer for. */
export const translatedAddressBatch = (router: Router | undefined, position: number): string => {
  if (router === undefined) return '';
  const outbound = router.direction === 'Outbound';
  const link = outbound ? position : position - 1;
  return Array.from(
    { length: router.translator.addresses },
    (_, at) => `address add ${translatedAddress(link, at)}/16 dev ${outbound ? 'right' : 'left'}\n`,
  ).join('');
};
