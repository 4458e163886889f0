/** Entry of the engine process: the pipelines behind the message loop. Started by the supervisor. */
import { createRunner } from '../../pipelines/runner.ts';
import { serveEngine } from './process/loop.ts';

serveEngine(createRunner);
