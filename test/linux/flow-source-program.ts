// Prints by what the flows would be counted with the rights that this process has. Argument: the compiled program.
import { openFlowCounter } from '../../src/linux/flows/flow-counter.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';

const worker = createNamespaceWorker({ signal: new AbortController().signal });
const { source, reason } = openFlowCounter({ objectPath: process.argv[2] ?? '', worker });
process.stdout.write(JSON.stringify({ source, reason }));
