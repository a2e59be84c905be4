#include "distill/report/style.hpp"

namespace akin {

// Colours --c0 ... --c7 follow Okabe and Ito's palette (grey for their black); light ones are darker on a light page.
const char* const report_css = R"css(
:root{color-scheme:light dark;
 --bg:#fcfbf8;--ink:#1c1e21;--soft:#5b6066;--rule:#d8d5ce;--faint:#f0eee8;--right:0,114,178;--wrong:213,94,0;
 --deep:.62;--bad:#b04a00;
 --c0:#767676;--c1:#b8609a;--c2:#d55e00;--c3:#0072b2;--c4:#00906a;--c5:#a87400;--c6:#2c8bc8;--c7:#8a7d00;
 --serif:"Iowan Old Style","Palatino Linotype",Palatino,Charter,Georgia,"DejaVu Serif",serif;
 --sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
 --mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{
 --bg:#141619;--ink:#e9e6e0;--soft:#a3a7ab;--rule:#363a40;--faint:#1e2125;--right:64,156,220;--wrong:230,120,40;
 --deep:.47;--bad:#ec7a22;
 --c0:#9a9a9a;--c1:#cc79a7;--c2:#ec7a22;--c3:#3f9fe0;--c4:#18b98c;--c5:#e69f00;--c6:#8fd0f5;--c7:#f0e442}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:17px/1.55 var(--serif);overflow-wrap:break-word}
main{max-width:64rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:clamp(1.75rem,1.2rem + 2.6vw,2.9rem);line-height:1.14;font-weight:600;letter-spacing:-.015em;
 margin:.4rem 0 1.1rem;max-width:22em;text-wrap:balance}
h2{font-size:1.4rem;line-height:1.25;font-weight:600;margin:0 0 .5rem}
h3{font:600 .95rem/1.35 var(--sans);margin:1.6rem 0 .5rem}
p{margin:0 0 .8rem;max-width:40rem}
section{border-top:1px solid var(--rule);margin-top:2.6rem;padding-top:1.3rem}
.run,caption,figcaption,th,td,dl,summary,footer{font-family:var(--sans)}
.run{color:var(--soft);font-size:.85rem;margin:0}
.lead p{font-size:1.08rem}
.soft{color:var(--soft);font:.85rem/1.5 var(--sans);max-width:44rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;font-size:.88rem;margin:1.2rem 0 0}
dt{color:var(--soft)}dd{margin:0;min-width:0}
dl.words{grid-template-columns:minmax(6rem,max-content) 1fr;gap:.5rem 1.2rem;max-width:46rem;line-height:1.45}
dl.words dt{color:var(--ink);font-weight:600}
table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.3;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:left;font-size:.8rem;vertical-align:bottom}
th,td{padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:0}
tbody th{color:var(--ink);font-size:.9rem;vertical-align:middle}
tr.student th,tr.student td{font-weight:650}
.num{text-align:right;white-space:nowrap}
.under{display:block;color:var(--soft);font-size:.78rem;font-weight:400}
.plot{width:38%}
.ends{display:flex;justify-content:space-between;gap:.5em}
.data{max-width:56rem}.plain{width:auto}.plain td,.plain th{padding-right:1.1rem;vertical-align:top}.plain td{max-width:22rem}
.runs .plot{width:26%}
.swatch{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.45em}
svg{display:block;overflow:visible}
svg text{font-family:var(--sans);font-size:11.5px;fill:var(--ink)}
.strip .track{stroke:var(--rule);fill:var(--faint)}
.strip .tick{stroke:var(--ink);stroke-width:1.5}
.strip circle{stroke:var(--bg);stroke-width:1}.strip .share{fill:var(--c3)}
.bar{fill:var(--c3);fill-opacity:.8}.weight{fill:var(--c2)}
.strip rect.track{stroke:none;fill:var(--rule)}
.whisker{stroke:var(--ink);stroke-width:1.3}
.zero{stroke:var(--soft);stroke-width:1}
.chance{stroke:var(--c2);stroke-width:1.6;stroke-dasharray:3 2}
.probe{stroke:var(--c3);stroke-width:1.6;stroke-dasharray:1 2}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1.8rem 2.5rem;margin:1rem 0}
figure{margin:0;break-inside:avoid}
.chart{width:100%;max-width:34rem;height:auto}
.chart .name{font-weight:600;font-size:13px}
.axis line{stroke:var(--rule);stroke-width:1}.axis text{fill:var(--soft)}
.mean{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:butt}
.seed{fill:none;stroke-width:1;stroke-opacity:.4;stroke-linejoin:round}
.labels line{stroke-width:.8;stroke-opacity:.6}
.legend{list-style:none;margin:.2rem 0 .9rem;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;
 font:.85rem var(--sans)}
.legend svg{display:inline-block;vertical-align:middle;margin-right:.45em}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.1rem,1fr));gap:1.1rem .9rem;margin:.6rem 0 1rem}
.tile{font:.8rem/1.4 var(--sans);min-width:0}
.tile img{display:block;width:100%;max-width:6.6rem;aspect-ratio:1;object-fit:contain;image-rendering:pixelated;
 background:var(--faint);border:1px solid var(--rule)}
.tile b{display:block;margin-top:.3rem;font-weight:600}
.tile .said{display:flex;align-items:baseline;gap:.35em}.tile .said>span:last-child{min-width:0;overflow-wrap:anywhere}
.tile .swatch{margin:0;flex:none}
.tile em{font-style:normal;color:var(--soft)}.tile i{font-style:normal}
.ok{color:var(--c3)}.no{color:var(--bad)}
.tile .file{display:block;color:var(--soft);font-size:.72rem;line-height:1.3;overflow-wrap:anywhere}
.cm{table-layout:fixed;width:min(100%,6.2rem + var(--k)*2.9rem);font-size:.8rem;margin:.6rem 0}
.cm th,.cm td{padding:0;border:1px solid var(--bg);text-align:center;height:2.1rem;vertical-align:middle;
 overflow:hidden}
.cm thead th{height:auto;padding-bottom:.3rem;vertical-align:bottom;font-size:.75rem}
.cm.long th[scope=col] span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap;display:inline-block}
.cm .corner{width:6.2rem;text-align:right;padding-right:.5rem}
.cm tbody th{text-align:right;padding-right:.5rem;font-size:.76rem;width:6.2rem;overflow-wrap:anywhere;line-height:1.1}
.cm td{background:var(--faint)}
.cm td.nil{color:var(--soft)}
.cm td.r{background:rgba(var(--right),calc(.08 + var(--s)*var(--deep)))}
.cm td.w{background:rgba(var(--wrong),calc(.08 + var(--s)*var(--deep)))}
.cm.like{width:auto}.cm.like th[scope=col],.cm.like td{width:2.6rem}.cm.like tbody th,.cm.like .corner{width:11rem}
.scroll{overflow-x:auto;max-width:100%;margin:.6rem 0}
:focus-visible{outline:3px solid var(--c3);outline-offset:2px}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem 2.5rem}
.heat{overflow:hidden}.heat text{font-size:inherit}
.heat .right{fill:rgb(var(--right))}.heat .wrong{fill:rgb(var(--wrong))}.frame{fill:var(--faint)}
.map{overflow:hidden}.map path,.legend path{fill:none}.pt0{stroke-width:6;stroke-linecap:round}.pt1,.pt2{stroke-width:1.8}
.ring{stroke:var(--ink);stroke-width:.9}
ol.mix{font:.88rem/1.5 var(--sans);padding-left:1.3rem;margin:.4rem 0}
pre{font:.78rem/1.5 var(--mono);background:var(--faint);padding:.9rem 1rem;margin:.6rem 0;white-space:pre-wrap;
 overflow-wrap:anywhere}
details{margin:.6rem 0}
summary{cursor:pointer;font-size:.92rem}
ul.notes{padding-left:1.1rem;max-width:40rem}
footer{margin-top:2.5rem;color:var(--soft);font-size:.8rem}
@media (max-width:34rem){
 body{font-size:16px}main{padding:1.4rem 1rem 3rem}
 .data,.data thead,.data tbody{display:block}
 .data tr{display:grid;grid-template-columns:minmax(0,1fr) 5.7rem 6.5rem;border-bottom:1px solid var(--rule);
  padding:.5rem 0}
 .data th,.data td{border:0;padding:0;min-width:0}
 .data .num{padding-left:.7rem}
 .data .plot{grid-column:1/-1;grid-row:2;width:auto;margin-top:.25rem}
 .data thead tr>*{align-self:end}
 .data.costs tr,.data.runs tr{grid-template-columns:repeat(5,minmax(0,1fr));column-gap:.4rem}
 .data.runs tr{grid-template-columns:1.7fr 1fr 1fr 1fr}
 .data.costs tr>:first-child,.data.runs tr>:first-child{grid-column:1/-1}
 .data.costs .num,.data.runs .num{padding:0;font-size:.8rem}
 .data.costs thead .num,.data.runs thead .num{white-space:normal;font-size:.7rem}
 .cm{width:100%;font-size:.68rem}.cm td,.cm th{height:1.8rem;letter-spacing:-.02em}
 .cm .corner,.cm tbody th{width:4.4rem;font-size:.66rem;padding-right:.3rem}
 .cm.short .corner,.cm.short tbody th{width:2.6rem}
 dl,dl.words{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{
 :root{color-scheme:light;--bg:#fff;--ink:#000;--soft:#444;--rule:#bbb;--faint:#f2f2f2;--right:0,114,178;
  --wrong:213,94,0;--deep:.62;--bad:#b04a00;--c0:#767676;--c1:#b8609a;--c2:#d55e00;--c3:#0072b2;--c4:#00906a;--c5:#a87400;
  --c6:#2c8bc8;--c7:#8a7d00}
 *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
 body{font-size:11pt}main{max-width:none;padding:0}
 section{break-inside:auto;margin-top:1.6rem}h2,h3{break-after:avoid}
 table,.tile,figure,dl>dd{break-inside:avoid}
 p{break-inside:avoid}section>p:not(:last-child){break-after:avoid}
 .tiles{grid-template-columns:repeat(6,1fr)}.tile img{max-width:5rem}}
)css";

}  // namespace akin
