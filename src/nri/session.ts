import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Client } from '../ttrpc/client.ts';
import { Connection } from '../ttrpc/connection.ts';
import { Server } from '../ttrpc/server.ts';
import { NriError } from './error.ts';
import { Plugin, Runtime } from './gen/nri_pb.ts';
import { pluginService, type ServiceOptions } from './service.ts';

/** The logical connections of the protocol (containerd/nri pkg/net/multiplex/ttrpc.go). */
const pluginServiceConnectionId = 1;
const runtimeServiceConnectionId = 2;

/** The version of the protocol that nri.proto was checked against. */
const nriVersion = 'v0.12.0';

/**
 * A runtime accepts plugins one by one, each with up to 5 s to register and 2 s to be configured; we may be behind
 * two that hang.
 */
const registrationTimeoutMs = 15_000;

export interface SessionOptions extends ServiceOptions {
  readonly socketPath: string;
  readonly name: string;
  /** Two digits: the plugin's place in the order of invocation. */
  readonly index: string;
}

/** One life of the connection to the runtime: connects, registers, serves; gives the reason of its end. */
export async function runSession(options: SessionOptions, signal: AbortSignal): Promise<NriError> {
  const socket = await openSocket(options.socketPath, signal);
  if (socket instanceof NriError) return socket;
  const connection = new Connection(socket);
  const runtime = new Client(connection, runtimeServiceConnectionId);
  new Server(connection, pluginServiceConnectionId, { service: Plugin, handlers: pluginService(options) }).start();
  const [reason] = await Promise.all([connection.run(signal), register(connection, runtime, options)]);
  return reason instanceof NriError
    ? reason
    : new NriError('ConnectionLost', 'the connection to the runtime ended', { cause: reason });
}

async function openSocket(socketPath: string, signal: AbortSignal): Promise<Socket | NriError> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (cause) {
    socket.destroy();
    return new NriError('RuntimeUnreachable', `no runtime listens at ${socketPath}`, { cause });
  }
}

async function register(connection: Connection, runtime: Client, { name, index }: SessionOptions): Promise<void> {
  const request = { pluginName: name, pluginIndex: index, nriVersion };
  const options = { timeoutMs: registrationTimeoutMs, signal: connection.ended };
  try {
    await runtime.call(Runtime.method.registerPlugin, request, options);
  } catch (cause) {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    connection.end(
      new NriError('RegistrationFailed', `the runtime did not register ${index}-${name}${why}`, { cause }),
    );
  }
}
