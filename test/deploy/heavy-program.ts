// What must not be in the agent's bundle, for the test that looks for it.
import { createServer } from 'node:http';
import { request } from 'undici';
import { z } from 'zod';

console.log(createServer, request, z.locales, new Intl.NumberFormat('en-US'));
