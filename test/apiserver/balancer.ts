import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** As a Service does it: a new connection goes to one of the ready replicas, an open one stays where it is. */
export interface Balancer {
  readonly port: number;
  readonly ready: Set<number>;
  readonly connections: () => number;
  readonly close: () => void;
}

const pass = (socket: Socket, port: number): void => {
  const onward = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.setNoDelay().pipe(onward).pipe(socket);
  socket.on('error', () => onward.destroy());
  onward.on('error', () => socket.destroy());
};

export async function startBalancer(): Promise<Balancer> {
  const ready = new Set<number>();
  let connections = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    connections += 1;
    const ports = [...ready];
    const port = ports[connections % ports.length];
    if (port === undefined) socket.resetAndDestroy();
    else pass(socket, port);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    ready,
    connections: () => connections,
    close: () => void server.close(),
  };
}
