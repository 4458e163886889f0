/**
 * Formats a number as Python prints a float: `7.0`, `0.7`, `1e-05`, `1.5`, `nan`. Both languages print the
 * shortest digits that read back as the same number; they differ in when an exponent appears (Python:
 * below 1e-4 and from 1e16) and in the `.0` of whole numbers.
 */
export function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponentText = ''] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? '-' : '+';
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (exponent >= 0) {
    // Up to 1e21 JavaScript prints all digits, as Python does up to 1e16.
    return Number.isInteger(value) ? `${value}.0` : String(value);
  }
  // JavaScript switches to an exponent below 1e-6 only, so 1e-4 and up agree.
  return String(value);
}

/** Formats a value as Python's `str` does: `True`, `False`, whole numbers plain, others as floats. */
export function pythonText(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number')
    return Number.isInteger(value) ? String(value) : pythonFloat(value);
  return value;
}
