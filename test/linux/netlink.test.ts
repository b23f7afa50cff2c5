import { expect, test } from 'vitest';
import { addressesIn, namesIn } from '../../src/linux/interfaces.ts';
import { neighboursIn } from '../../src/linux/neighbours.ts';
import { addBodies, attribute } from '../../src/linux/netlink.ts';
import { message } from './diag-bytes.ts';

const call = { syscall: 'netlink', attempt: 'be told' };
// linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
const NLMSG_ERROR = 2;
const RTM_NEWADDR = 20;
const NDA_DST = 1;

const told = (...messages: readonly Uint8Array[]): readonly Buffer[] => {
  const bodies: Buffer[] = [];
  addBodies(bodies, Buffer.concat(messages), call);
  return bodies;
};
const status = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return message(NLMSG_ERROR, bytes);
};
const anError = expect.objectContaining({ name: 'LinuxError' });

test('a status below 0 is the error of its errno, and 0 ends an answer', () => {
  expect(() => told(status(-1))).toThrow(expect.objectContaining({ kind: 'NotPermitted' }));
  expect(() => told(status(-2_147_483_648))).toThrow(anError);
  expect(told(message(RTM_NEWADDR, Buffer.alloc(8)), status(0))).toEqual([Buffer.alloc(8)]);
  expect(told(status(5))).toEqual([]);
});

const ofSevenBytes = Buffer.concat([Buffer.alloc(12), attribute(NDA_DST, Buffer.alloc(7))]);

test.each([
  ['a status that is cut', () => told(message(NLMSG_ERROR, Buffer.alloc(0)))],
  ['a message that is cut', () => told(message(RTM_NEWADDR, Buffer.alloc(40)).subarray(0, 30))],
  ['an address that is cut', () => addressesIn([Buffer.alloc(3)], new Map())],
  ['an interface that is cut', () => namesIn([Buffer.alloc(15)])],
  ['a neighbour that is cut', () => neighboursIn([Buffer.alloc(11)], 0)],
  ['an address of 7 bytes', () => neighboursIn([ofSevenBytes], 0)],
])('%s is an error of its own', (_, read) => {
  expect(read).toThrow(anError);
});
