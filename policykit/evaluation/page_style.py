"""How the HTML report looks: one column, tables that are read across, light or dark as the reader has it."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 860px; margin: 0 auto; padding: 24px; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; width: 100%; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #8884; vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
figure { margin: 1em 0; } svg { max-width: 100%; height: auto; }
""".strip()
