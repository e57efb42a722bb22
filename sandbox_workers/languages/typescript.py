"""TypeScript: its types are erased, not checked, and the JavaScript is run by node.

A check would need the type declarations of node's own modules, which a host with a compiler need not have; node itself
erases types in the same way. Text that is no TypeScript at all is a compile error.
"""

from __future__ import annotations

from .javascript import MEMORY_MARKS
from .language import ARTIFACT, Language

_ERASE = f"""
const files = require("fs"), ts = require(process.argv[1]), name = "program.ts";
const source = files.readFileSync(name, "utf8");
const options = {{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true }};
const erased = ts.transpileModule(source, {{ compilerOptions: options, fileName: name, reportDiagnostics: true }});
for (const found of erased.diagnostics) {{
  const line = found.file.getLineAndCharacterOfPosition(found.start).line + 1;
  console.error(`${{name}}:${{line}}: error: ${{ts.flattenDiagnosticMessageText(found.messageText, " ")}}`);
}}
files.writeFileSync("{ARTIFACT}", erased.outputText);
process.exit(erased.diagnostics.length ? 1 : 0);
"""

LANGUAGE = Language(
    name="typescript",
    aliases=("ts",),
    suffixes=(".ts", ".mts", ".cts"),
    source_name="program.ts",
    toolchain=("node", "tsc"),
    build=("node", "-e", _ERASE, "{root}/lib/typescript.js"),
    run=("node", "{flags}", "--max-old-space-size={memory_mb}", "--stack-size={stack_mb}000", ARTIFACT),
    error_line=r"^program\.ts:(\d+): error",
    memory_marks=MEMORY_MARKS,
    reserves_address_space=True,
)
