import type { Rlimit } from '../linux/libc.ts';

/** What a pod does not have as planned, with both numbers. */
export interface Finding {
  readonly kind: 'LimitNotSettable' | 'SysctlNotSettable' | 'AddressesMissing' | 'SpreadNotAvailable';
  readonly message: string;
}

/** With commas. Intl.NumberFormat would do it too, and costs the process 7 MB for its tables. */
const grouped = (value: number): string => value.toFixed(0).replaceAll(/\B(?=(\d{3})+$)/g, ',');

const limitText = (limit: number): string => (Number.isFinite(limit) ? grouped(limit) : 'unlimited');

/** `what` says of the second pair of numbers whose it is: "can be set on this node". */
export const nofileFinding = (
  container: string,
  planned: Rlimit,
  { limit, what }: { readonly limit: Rlimit; readonly what: string },
): Finding => ({
  kind: 'LimitNotSettable',
  message:
    `container ${container}: nofile ${limitText(planned.soft)} soft, ${limitText(planned.hard)} hard planned; ` +
    `${limitText(limit.soft)} soft, ${limitText(limit.hard)} hard ${what}`,
});

export const unknownNofileFinding = (container: string, planned: Rlimit, why: string): Finding => ({
  kind: 'LimitNotSettable',
  message: `container ${container}: nofile ${limitText(planned.soft)} soft, ${limitText(planned.hard)} hard planned; ${why}`,
});

export const sysctlFinding = (name: string, planned: string, why: string): Finding => ({
  kind: 'SysctlNotSettable',
  message: `${name} "${planned}" planned; ${why}`,
});

export const addressFinding = (planned: number, why: string): Finding => ({
  kind: 'AddressesMissing',
  message: `${grouped(planned)} further source ${planned === 1 ? 'address' : 'addresses'} planned; ${why}`,
});

/** `isOfPorts`: addresses and ports were to be chosen for the program, not addresses alone. */
export const spreadFinding = (isOfPorts: boolean, why: string): Finding => ({
  kind: 'SpreadNotAvailable',
  message: `spread of source ${isOfPorts ? 'addresses and ports' : 'addresses'} planned; ${why}`,
});
