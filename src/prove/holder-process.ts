/** Entry of a holder: a process that the proof starts, one per process of the pod and one for all peers. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { enterNetworkNamespace } from '../linux/libc.ts';
import { Acceptor } from './acceptor.ts';
import { DescriptorRoom } from './descriptor-room.ts';
import {
  type Accept,
  type Command,
  counterDescriptor,
  counterSlots,
  type Listener,
  type Open,
  type Prepare,
  type Reply,
} from './holder-protocol.ts';
import { Opener } from './opener.ts';
import { loadSocketCalls, newSocketAddress, writeSocketAddress } from './socket-calls.ts';

const batch = 256;
/** The event loop gets its turn so often: a Stop must be heard. */
const turnMs = 10;
const calls = loadSocketCalls();
const epoll = calls.epollCreate();
const slot = Buffer.alloc(8);
const sleepCell = new Int32Array(new SharedArrayBuffer(4));

let room: DescriptorRoom | undefined;
let listenerFds: readonly number[] = [];
let openedHere = 0;
let acceptors: readonly Acceptor[] = [];
const run = { isStopped: false };

const writeCounter = (position: number, value: number): void => {
  slot.writeDoubleLE(value);
  writeSync(counterDescriptor, slot, 0, 8, position);
};

const readCounter = (position: number): number => {
  readSync(counterDescriptor, slot, 0, 8, position);
  return slot.readDoubleLE();
};

const succeeded = (result: number, attempt: string): number => {
  if (result >= 0) return result;
  throw new Error(`cannot ${attempt}: errno ${-result}`);
};

const enter = (netnsPath: string): void => {
  const fd = openSync(netnsPath, 'r');
  enterNetworkNamespace(fd, { syscall: 'setns', attempt: `enter ${netnsPath}` });
  closeSync(fd);
};

const listenOn = ({ port, backlog, isOneOfMany }: Listener): number => {
  const fd = succeeded(calls.openListener(), 'open a socket');
  calls.setOption(fd, isOneOfMany ? 'ReusePort' : 'ReuseAddress', 1);
  succeeded(calls.bind(fd, writeSocketAddress(newSocketAddress(), 0, port)), `bind port ${port}`);
  succeeded(calls.listen(fd, backlog), `listen on port ${port}`);
  return fd;
};

const prepare = (command: Prepare): Reply => {
  enter(command.netnsPath);
  const { adopt } = command;
  const adopted = adopt?.fds.map((fd) => succeeded(calls.takeDescriptor(adopt.pid, fd), 'share a listening socket'));
  listenerFds = adopted ?? command.listeners.map(listenOn);
  room = new DescriptorRoom(calls, {
    reserved: command.reservedDescriptors,
    room: command.room,
    perConnection: command.descriptorsPerConnection,
  });
  return { reply: 'Prepared', listenerFds };
};

const prepared = (): DescriptorRoom => {
  if (room === undefined) throw new Error('nothing is prepared');
  return room;
};

/** Not in epoll_wait(2): a listener that wakes its process for each connection slows the side that opens them. */
const sleep = (ms: number): void => void Atomics.wait(sleepCell, 0, 0, ms);

const inTurns = async (isGoingOn: () => boolean, step: () => void): Promise<void> => {
  while (isGoingOn() && !run.isStopped) {
    const end = performance.now() + turnMs;
    while (isGoingOn() && performance.now() < end) step();
    await setImmediate();
  }
};

const open = async (command: Open): Promise<Reply> => {
  const opener = new Opener({ calls, epoll, room: prepared() }, command);
  await inTurns(
    () => opener.ended === undefined,
    () => {
      opener.step(readCounter(counterSlots.accepted), batch);
      writeCounter(counterSlots.opened, opener.established);
    },
  );
  openedHere += opener.established - command.from;
  return opener.ended ?? { reply: 'Ended', count: opener.established, errno: 0, syscall: '' };
};

const accept = async (command: Accept): Promise<Reply> => {
  const fds = command.listeners.map((index) => listenerFds[index] ?? -1);
  const acceptor = new Acceptor({ calls, epoll, room: prepared() }, fds, command);
  acceptors = [...acceptors, acceptor];
  await inTurns(
    () => acceptor.ended === undefined,
    () => {
      if (!acceptor.step(batch)) sleep(1);
      writeCounter(counterSlots.accepted, acceptor.count);
    },
  );
  return acceptor.ended ?? { reply: 'Ended', count: acceptor.count, errno: 0, syscall: '' };
};

const count = (): Reply => {
  const last = acceptors.at(-1);
  last?.countLost();
  const sum = (of: (acceptor: Acceptor) => number): number => acceptors.reduce((total, each) => total + of(each), 0);
  const held = openedHere + sum((each) => each.held);
  return { reply: 'Counted', held, lost: sum((each) => each.lost), keeperPids: prepared().keeperPids };
};

const perform = (command: Exclude<Command, { readonly command: 'Stop' }>): Reply | Promise<Reply> => {
  run.isStopped = false;
  if (command.command === 'Prepare') return prepare(command);
  if (command.command === 'Open') return open(command);
  if (command.command === 'Accept') return accept(command);
  if (command.command === 'Close') prepared().closeAll();
  return count();
};

const answer = async (command: Command): Promise<void> => {
  if (command.command === 'Stop') {
    run.isStopped = true;
    return;
  }
  let reply: Reply;
  try {
    reply = await perform(command);
  } catch (error) {
    reply = { reply: 'Failed', message: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
};

calls.endWithParent();
process.on('disconnect', () => process.exit());
process.on('message', (command: Command) => void answer(command));
