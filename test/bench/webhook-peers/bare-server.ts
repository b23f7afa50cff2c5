import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';

// node:https alone: reads each body, keeps none of it, and answers a constant of the usual length.
const [port = '', certificates = ''] = process.argv.slice(2);
const cert = readFileSync(join(certificates, 'tls.crt'));
const key = readFileSync(join(certificates, 'tls.key'));
const constant = JSON.stringify({ response: { uid: 'u1', allowed: true, patch: 'x'.repeat(2000) } });
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(constant) };
const server = createServer({ cert, key, minVersion: 'TLSv1.2' }, (request, response) => {
  request.resume().on('end', () => response.writeHead(200, headers).end(constant));
});
server.keepAliveTimeout = 120_000;
server.listen(Number(port), '127.0.0.1');
