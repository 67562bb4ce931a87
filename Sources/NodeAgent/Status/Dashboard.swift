/// The page at `/`: one document that asks the endpoint it came from and shows what it is told.
/// It loads nothing from elsewhere and puts every value in as text.
enum Dashboard {
    /// The whole page.
    static let page = head + style + frame + script

    private static let head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
        style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'">
        <title>Martlet</title>

        """

    private static let style = """
        <style>
        :root { --ink: #1d2733; --soft: #66727f; --line: #dde3e9; --paper: #f6f8fa; --card: #fff;
          --good: #14804a; --bad: #b42318; --blue: #175cd3; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #94a1ae;
          --line: #2c3641; --paper: #12171d; --card: #1a2129; --good: #4ac585; --bad: #f97066;
          --blue: #84adff; } }
        * { box-sizing: border-box }
        body { margin: 0; background: var(--paper); color: var(--ink);
          font: 14px/1.5 system-ui, sans-serif }
        header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap;
          padding: 1.1rem 1.5rem; background: var(--card); border-bottom: 1px solid var(--line) }
        h1 { margin: 0; font-size: 1.25rem }
        h2 { margin: 0 0 .5rem; font-size: .95rem }
        main { display: grid; gap: 1rem; padding: 1rem 1.5rem;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)) }
        section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
          padding: 1rem; overflow-x: auto }
        table { border-collapse: collapse; width: 100% }
        th { text-align: left; font-weight: 500; color: var(--soft) }
        th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
          vertical-align: top; font-variant-numeric: tabular-nums }
        tr:last-child td { border-bottom: 0 }
        .soft { color: var(--soft) } .good { color: var(--good) } .bad { color: var(--bad) }
        .pill { border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem }
        a { color: var(--blue) }
        </style></head>

        """

    private static let frame = """
        <body><header><h1>Martlet</h1><span id="node" class="soft"></span>
        <span id="ready" class="pill"></span><span id="age" class="soft"></span>
        <span class="soft"><a href="/status">status</a> <a href="/config">config</a>
        <a href="/objects">objects</a> <a href="/blocks">blocks</a>
        <a href="/metrics">metrics</a></span></header><main id="main"></main>

        """

    private static let script = """
        <script>
        const byId = id => document.getElementById(id);
        const shown = v => v === null || v === undefined || v === '' ? '–'
          : Array.isArray(v) ? v.map(shown).join(', ') || '–'
          : typeof v === 'object' ? Object.entries(v).map(([k, x]) => k + ' ' + shown(x)).join(', ')
          : v === true ? 'yes' : v === false ? 'no' : String(v);
        function node(tag, text, kind) {
          const made = document.createElement(tag);
          if (text !== undefined) made.textContent = text;
          if (kind) made.className = kind;
          return made;
        }
        function card(title, rows, columns, note) {
          const box = node('section');
          box.append(node('h2', title));
          if (!rows || rows.length === 0) {
            box.append(node('div', note || 'none', 'soft'));
            return box;
          }
          const table = node('table'), head = node('tr');
          columns.forEach(c => head.append(node('th', c)));
          table.append(head);
          rows.forEach(row => {
            const line = node('tr');
            columns.forEach(c => line.append(node('td', shown(row[c]))));
            table.append(line);
          });
          box.append(table);
          return box;
        }
        async function get(path) { return (await fetch(path)).json(); }
        async function refresh() {
          try {
            const [s, b, o] = await Promise.all([get('/status'), get('/blocks'), get('/objects')]);
            byId('node').textContent = s.node.name + ' · ' + s.build.martlet
              + ' · up ' + s.uptimeSeconds + ' s · snapshot ' + s.snapshot.version;
            byId('ready').textContent = s.draining ? 'draining' : s.ready ? 'ready' : 'not ready';
            byId('ready').className = 'pill ' + (s.ready ? 'good' : 'bad');
            byId('age').textContent = new Date().toLocaleTimeString();
            const counters = Object.entries(s.xdp.counters || {})
              .map(([counter, packets]) => ({ counter, packets }));
            const refused = o.objects.filter(x => !x.accepted);
            byId('main').replaceChildren(
              card('Layers', s.snapshot.layers, ['layer', 'on', 'appliedVersion', 'lag', 'why']),
              card('Sources', s.sources, ['kind', 'location', 'connected', 'stale', 'fault']),
              card('Listeners', s.listeners, ['name', 'protocol', 'port', 'host', 'routes']),
              card('Captured pods', s.capture.pods, ['pod', 'state', 'uncapturedSeconds', 'proof'],
                s.capture.why),
              card('Blocks', b.blocks, ['source', 'scope', 'owner', 'reason', 'expiry',
                'enforcedAt', 'packetsDropped']),
              card('Packet layer', s.xdp.interfaces, ['name', 'mode', 'state'], s.xdp.why),
              card('Packet counters', counters, ['counter', 'packets']),
              card('Plugins', s.plugins, ['name', 'policy', 'target', 'state', 'runs',
                'localReplies', 'errors', 'blocksAsked']),
              card('Certificates', s.certificates, ['secret', 'notAfter', 'names']),
              card('Faults', s.faults.map(fault => ({ fault })), ['fault']),
              card('Refused objects', refused, ['object', 'reason', 'location']));
          } catch (error) {
            byId('ready').textContent = 'unreachable';
            byId('ready').className = 'pill bad';
          }
        }
        refresh();
        setInterval(refresh, 2000);
        </script></body></html>

        """
}
