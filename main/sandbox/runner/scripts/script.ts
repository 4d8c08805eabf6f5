/** Shell scripts as text of this program, so that they are part of its bundle. */

/** The text as it is written, but for `\${`, which stands for the shell's own `${`. */
export function script(parts: TemplateStringsArray): string {
  return parts.raw.join("").replaceAll("\\${", "${");
}
