import { expect, test } from 'vitest';
import { createLogger, type LogLevel } from '../../src/observability/logger.ts';

function recordingLogger(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { logger: createLogger({ level, name: 'agent', destination }), lines };
}

test('a line is one JSON object with level, time, name and message', () => {
  const { logger, lines } = recordingLogger('info');
  logger.info({ reconcileID: '7', durationMs: 3 }, 'budget planned');
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      name: 'agent',
      reconcileID: '7',
      durationMs: 3,
      message: 'budget planned',
    },
  ]);
});

test('what is below the level is not written', () => {
  const { logger, lines } = recordingLogger('warn');
  logger.info('no');
  logger.warn('yes');
  expect(lines.map(({ message }) => message)).toEqual(['yes']);
});

test('an error is written with its kind and its causes, and without what else it carries', () => {
  const { logger, lines } = recordingLogger('info');
  const cause = new Error('connection refused');
  const error = Object.assign(new Error('no plan', { cause }), { kind: 'Network', request: { token: 'secret' } });
  logger.error({ error }, 'reconcile failed');
  expect(lines[0]?.['error']).toEqual({
    type: 'Error',
    message: 'no plan',
    kind: 'Network',
    stack: expect.stringContaining('no plan'),
    cause: { type: 'Error', message: 'connection refused' },
  });
});

test('causes in a circle and things that are no errors are written too', () => {
  const { logger, lines } = recordingLogger('info');
  const circle = new Error('circle');
  circle.cause = circle;
  logger.error({ error: circle }, 'failed');
  logger.error({ error: 'just text' }, 'failed');
  expect(JSON.stringify(lines[0]).match(/"circle"/g)).toHaveLength(6);
  expect(lines[1]?.['error']).toEqual({ type: 'string', message: 'just text' });
});
