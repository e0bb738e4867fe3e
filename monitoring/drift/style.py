"""The look of the drift page."""

STYLE = """
:root{--ink:#1c2430;--soft:#5d6878;--line:#dde2e9;--paper:#fff;--back:#f3f5f8;
--significant:#c22f2f;--moderate:#b26a00;--none:#2c7a4b;--insufficient:#5d6878;--before:#aab4c3;--after:#2f6fde}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
header{color:#fff;padding:26px 0;background:var(--insufficient)}
header.significant{background:var(--significant)}header.moderate{background:var(--moderate)}
header.none{background:var(--none)}
header>div{max-width:1180px;margin:0 auto;padding:0 36px}header p{margin:4px 0}header .of{opacity:.85}
h1{margin:0;font-size:32px;line-height:1.2}header .lead{font-size:18px}
header .answer{background:#0003;border-radius:6px;padding:6px 12px;margin-top:10px}
header .bad{outline:2px solid #fff}
main{max-width:1180px;margin:0 auto;padding:8px 36px 40px}
section{margin:22px 0}h2{font-size:18px;margin:0 0 8px}
.two{display:grid;grid-template-columns:1.1fr 1fr;gap:28px;background:var(--paper);border:1px solid var(--line);
border-radius:8px;padding:18px 22px}.two p{margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;margin:0}dt{color:var(--soft)}dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(500px,1fr));gap:16px;align-items:start}
article{background:var(--paper);border:1px solid var(--line);border-left:5px solid var(--none);border-radius:8px;
padding:14px 18px}
article.significant{border-left-color:var(--significant)}article.moderate{border-left-color:var(--moderate)}
article.insufficient,article.quiet{border-left-color:var(--insufficient)}
h3{margin:0;font:600 16px ui-monospace,Consolas,monospace;overflow-wrap:anywhere}
.psi{margin:2px 0;font-size:17px}.detail{margin:0 0 8px;color:var(--soft)}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}
svg .bin{text-anchor:end;fill:var(--soft)}svg .share{text-anchor:end}
svg .before{fill:var(--before)}svg .after{fill:var(--after)}
svg .rest{fill:var(--soft)}
.legend{color:var(--soft);margin:0 0 10px}
.legend span{display:inline-block;width:22px;height:10px;border-radius:2px;margin:0 4px 0 10px}
.legend span:first-child{margin-left:0}
span.before{background:var(--before)}span.after{background:var(--after)}
.badge{font-size:12px;border-radius:10px;padding:1px 9px;color:#fff;background:var(--insufficient);white-space:nowrap}
.badge.significant{background:var(--significant)}.badge.moderate{background:var(--moderate)}
.badge.none{background:#e2efe7;color:var(--none)}.badge.quiet,.badge.insufficient{background:#e7eaef;color:var(--soft)}
table{width:100%;border-collapse:collapse;background:var(--paper);border:1px solid var(--line);font-size:13px}
th{text-align:left;color:var(--soft);font-weight:600}td,th{padding:4px 10px;border-bottom:1px solid var(--line)}
.n{text-align:right;font-variant-numeric:tabular-nums}.bar{width:110px}
.bar i{display:block;height:9px;border-radius:2px;background:var(--none)}
tr.significant .bar i{background:var(--significant)}tr.moderate .bar i{background:var(--moderate)}
tr.insufficient .bar i,tr.quiet .bar i{background:var(--before)}
.notes{color:var(--soft);font-size:13px}
@media(max-width:800px){.two{grid-template-columns:1fr}.cards{grid-template-columns:1fr}main,header>div{padding-left:16px;
padding-right:16px}}
"""
