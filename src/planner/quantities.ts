/**
 * Counted things with their unit in the type: swapping two does not compile. A constructor checks (no negative, no NaN),
 * rounds up to whole units, and saturates at 2^53 − 1, so that absurd demands stay comparable instead of failing.
 */
declare const unit: unique symbol;
type Quantity<Unit extends string> = number & { readonly [unit]: Unit };

export type Connections = Quantity<'connections'>;
export type Descriptors = Quantity<'descriptors'>;
export type Ports = Quantity<'ports'>;
export type Addresses = Quantity<'addresses'>;
export type Bytes = Quantity<'bytes'>;
export type Pages = Quantity<'pages'>;

const whole = (value: number): number => {
  if (!(value >= 0)) throw new RangeError(`a quantity must be 0 or more, not ${value}`);
  return Math.min(Math.ceil(value), Number.MAX_SAFE_INTEGER);
};

export const connections = (value: number): Connections => whole(value) as Connections;
export const descriptors = (value: number): Descriptors => whole(value) as Descriptors;
export const ports = (value: number): Ports => whole(value) as Ports;
export const addresses = (value: number): Addresses => whole(value) as Addresses;
export const bytes = (value: number): Bytes => whole(value) as Bytes;
export const pages = (value: number): Pages => whole(value) as Pages;
