/** Prints `N passed, N failed` from vitest's JSON report; exit code 1 unless tests ran and all passed. */
import { readFileSync } from 'node:fs';

/** A report that was never written, or cut off by a time limit, counts as nothing run. */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, testResults: [] };
  }
}

const report = readReport(process.argv[2] ?? '');
// A file that fails before its first test, say on an import, has no failed tests of its own.
const brokenFiles = report.testResults.filter(
  ({ status, assertionResults }) =>
    status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
).length;
const failed = report.numFailedTests + brokenFiles;
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exitCode = failed === 0 && report.numPassedTests > 0 ? 0 : 1;
