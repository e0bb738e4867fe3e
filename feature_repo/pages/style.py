"""The stylesheet of all reports: the same look on screen, phone and paper.

Tones are `good`, `warn`, `bad` and `plain`. Colours of charts are classes too, so only this file defines colours.
"""

STYLE = """
:root{--ink:#1f2733;--soft:#5f6b7a;--line:#dfe4ea;--paper:#fff;--ground:#f6f7f9;
--accent:#3a6db3;--accent-soft:#9dbbe0;--rest:#b3bcc8;
--good:#23724a;--good-tint:#e6f3ec;--warn:#8f5c00;--warn-tint:#fbf1db;--bad:#b0322a;--bad-tint:#fae9e7;
--plain:#4a5666;--plain-tint:#eaedf1}
.good{--tone:var(--good);--tint:var(--good-tint)}.warn{--tone:var(--warn);--tint:var(--warn-tint)}
.bad{--tone:var(--bad);--tint:var(--bad-tint)}.plain{--tone:var(--plain);--tint:var(--plain-tint)}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);-webkit-text-size-adjust:100%;
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
code,.code,.cards h3{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}code{font-size:.92em}

header{background:var(--tint);border-top:6px solid var(--tone);border-bottom:1px solid var(--line);padding:24px 0 22px}
header>div,main{max-width:1180px;margin:0 auto;padding-left:32px;padding-right:32px}
header p{margin:6px 0 0;max-width:92ch}
header .about{margin:0;color:var(--soft);font-size:13px;letter-spacing:.02em}
h1{margin:2px 0 0;font-size:30px;line-height:1.25;font-weight:650;color:var(--tone);overflow-wrap:anywhere}
.lead{font-size:17px}.fine{color:var(--soft);font-size:13px}
.notice{background:var(--paper);border-left:4px solid var(--tone);border-radius:6px;padding:8px 14px}
main{padding-top:8px;padding-bottom:56px}
section{margin:30px 0 0}h2{font-size:18px;line-height:1.3;font-weight:650;margin:0 0 10px;overflow-wrap:anywhere}
.note{margin:-6px 0 12px;color:var(--soft);max-width:110ch;overflow-wrap:anywhere}

.panel,.card,.tile,.table{background:var(--paper);border:1px solid var(--line);border-radius:8px}
.panel{padding:18px 22px}.panel p{margin:0}
.panel+.table{margin-top:12px}
.two{display:grid;grid-template-columns:1.2fr 1fr;gap:32px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0;align-content:start}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:22px 0 0}
.tile{padding:12px 16px}.tile span{display:block;color:var(--soft);font-size:13px;line-height:1.35}
.tile b{display:block;font-size:24px;line-height:1.3;font-weight:650;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
.tile.good b,.tile.warn b,.tile.bad b{color:var(--tone)}

.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th{color:var(--soft);font-size:12.5px;font-weight:600;text-align:left;vertical-align:bottom;background:#fafbfc}
th,td{padding:8px 16px;border-bottom:1px solid var(--line)}td{vertical-align:top}tbody tr:last-child td{border-bottom:0}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.badge{display:inline-block;border-radius:10px;padding:0 9px;font:500 12px/20px system-ui,sans-serif;
white-space:nowrap;color:var(--tone);background:var(--tint)}header .badge{background:var(--paper)}
.code{min-width:300px;font-size:12px;line-height:1.5;color:var(--soft);overflow-wrap:anywhere}
td:has(.code){width:55%}.code+.code{margin-top:6px}.code b{color:var(--bad)}

.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,262px),1fr));gap:14px}
.cards.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}
.card{padding:13px 16px;min-width:0}.large .card{border-left:4px solid var(--tone)}
.cards h3{font-size:14px;line-height:1.4;font-weight:600;margin:0;overflow-wrap:anywhere}
.facts{color:var(--soft);font-size:12.5px;line-height:1.45;margin:2px 0 10px}
.large .facts{font-size:14px}.facts b{color:var(--ink);font-size:16px}
.card .table{margin-top:10px}.card table{font-size:12.5px;line-height:1.4}.card th,.card td{padding:3px 10px}
.card td:not(.num):not(:first-child){min-width:0}
.legend{color:var(--soft);font-size:13px;margin:0 0 10px}.legend span{margin-right:18px}
.legend i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:6px}

svg{display:block;width:100%;overflow:visible}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
.bars{display:grid;grid-template-columns:fit-content(42%) minmax(40px,1fr) max-content;gap:6px 12px;align-items:center;
font-size:13px;line-height:1.35}
.bars>span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bars .num,.axis,.bars .more{color:var(--soft)}.bars .more{grid-column:2/-1}
.cards .bars{font-size:12.5px;gap:4px 10px}.large .bars{row-gap:8px}
.axis{font-size:11.5px;font-variant-numeric:tabular-nums}
.ends{display:flex;justify-content:space-between;padding-top:3px}
.days{display:grid;grid-template-columns:max-content 1fr;column-gap:10px}
.days .scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right;margin:10px 0 -8px}
.days .ends{grid-column:2}.panel>.legend{margin:8px 0 0}
.plot{display:grid;grid-template-columns:max-content 1fr;column-gap:10px;margin:12px 6px 0 0}.plot .ends{grid-column:2}
.plot .scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right;margin:-9px 0}
.line-accent{stroke:var(--accent);stroke-width:1.5}.line-rest{stroke:var(--rest);stroke-width:1.5}
.meter{width:110px;margin-top:7px}
.fill-accent{fill:var(--accent);background:var(--accent)}.fill-soft{fill:var(--accent-soft);background:var(--accent-soft)}
.fill-rest{fill:var(--rest);background:var(--rest)}.fill-good{fill:var(--good);background:var(--good)}
.fill-warn{fill:#c98a1b;background:#c98a1b}.fill-bad{fill:var(--bad);background:var(--bad)}
.track{fill:#eef1f4}.grid{stroke:var(--line)}.base{stroke:#c3cad4}.whisker{stroke:var(--ink);stroke-width:1.5}

@media screen and (max-width:760px){header>div,main{padding-left:16px;padding-right:16px}h1{font-size:25px}
.lead{font-size:16px}.two{grid-template-columns:1fr;gap:18px}.panel{padding:14px 16px}section{margin-top:26px}
.tiles{grid-template-columns:1fr 1fr}th,td{padding:7px 11px}td:not(.num):not(:first-child){min-width:150px}
th:first-child,td:first-child{position:sticky;left:0}td:first-child{background:var(--paper)}.code{min-width:640px}
.panel>.bars{grid-template-columns:fit-content(34%) 1fr fit-content(42%)}.panel>.bars .num{white-space:normal;
font-size:12px}}
@media print{@page{margin:13mm}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{background:var(--paper);font-size:12px}header{padding:14px 0}header>div,main{padding-left:14px;padding-right:14px}
main{padding-bottom:0}h1{font-size:24px}.lead{font-size:14px}h2{font-size:15px}.tile b{font-size:18px}
.table{overflow:visible;border:0}table{font-size:11px}th{font-size:10px}th,td{padding:4px 6px}
.badge{font-size:10px;line-height:16px;padding:0 6px}.code{min-width:0;font-size:9px}.meter{width:70px}
.facts b{font-size:13px}.large .facts{font-size:12px}section{margin-top:20px}h2,.note,.legend{break-after:avoid}
td:not(.num):not(:first-child){min-width:84px}td:last-child:not(.num){min-width:130px}
.card,.tile,.panel,tr{break-inside:avoid}.cards.large{grid-template-columns:1fr 1fr}}
"""
