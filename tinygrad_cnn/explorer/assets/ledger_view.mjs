/** The ledger as a row of the page: a table for each op that reads the element, and the sum under them. */

import { agrees, format } from "./numbers.mjs";
import { make } from "./make.mjs";

/**
 * @param {import("./ledger.mjs").Ledger} ledger
 * @param {ReturnType<typeof import("./words.mjs").speaker>} say
 * @returns {HTMLElement[]}
 */
export function ledgerRow(ledger, say) {
  const title = make("p", "headline");
  title.append(make("code", "", ledger.title), make("strong", "", ` = ${format(ledger.recorded)}`));
  return [title, ...ledger.readers.flatMap((reader) => readerTable(reader, ledger.title, say)), conclusion(ledger, say)];
}

/**
 * @param {import("./ledger.mjs").Reader} reader
 * @param {string} title
 * @param {ReturnType<typeof import("./words.mjs").speaker>} say
 */
function readerTable(reader, title, say) {
  const head = make("p", "reader");
  const via = reader.via.length ? ` ${say("through", { via: reader.via.join(", ") })}` : "";
  head.append(
    make("span", "", `${say("reads", { op: reader.op, name: reader.argument })}${via}: `),
    make("code", "", reader.formula),
  );
  if (!reader.entries.length) {
    head.append(make("b", "", ` = ${format(reader.subtotal)}`));
    return [head];
  }
  const scroller = make("div", "entries");
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", `${say("terms")}: ${title}, ${reader.op}`);
  const table = make("table");
  const caption = make("caption", "unseen", `${say("terms")}: ${title}, ${reader.op}`);
  const top = make("tr");
  for (const name of ["share", "term", "factor", "gradient", "cameFrom"]) {
    const cell = make("th", "", say(name));
    cell.setAttribute("scope", "col");
    top.append(cell);
  }
  const body = make("tbody");
  for (const entry of reader.entries) {
    const row = make("tr");
    const share = reader.magnitude ? `${((100 * Math.abs(entry.value)) / reader.magnitude).toFixed(1)}%` : "-";
    row.append(make("td", "", share), make("td", "", format(entry.value)));
    row.append(numbered(entry.factor, entry.source, "= "), numbered(entry.gradient, entry.output, "× "));
    row.append(make("td", "from", entry.origin.join(" ← ")));
    body.append(row);
  }
  const header = make("thead");
  header.append(top);
  table.append(caption, header, body);
  scroller.append(table);
  if (reader.count === reader.entries.length) return [head, scroller];
  const left = say("smaller", { n: reader.count - reader.entries.length, sum: format(reader.rest) });
  return [head, scroller, make("p", "soft", left)];
}

/**
 * @param {number} value
 * @param {string} name
 * @param {string} sign
 */
function numbered(value, name, sign) {
  const cell = make("td", "numbered");
  cell.append(make("i", "", sign), make("code", "", format(value)), make("span", "", name));
  return cell;
}

/**
 * @param {import("./ledger.mjs").Ledger} ledger
 * @param {ReturnType<typeof import("./words.mjs").speaker>} say
 */
function conclusion(ledger, say) {
  const { readers, recorded, total, missing, magnitude } = ledger;
  const box = make("p", "total");
  if (!readers.length) {
    box.textContent = say("itself");
    return box;
  }
  const several = readers.length > 1 ? `${readers.map((reader) => format(reader.subtotal)).join(" + ")} = ` : "Σ = ";
  box.append(make("span", "", several), make("output", "", format(total)));
  if (missing) {
    box.append(make("span", "soft", ` ${say("partial")}: ${missing} ${say("missing")}`));
  } else if (recorded !== undefined) {
    const fine = agrees(total, recorded, magnitude);
    const close = Math.abs(total - recorded) <= 1e-5 * Math.abs(recorded);
    const verdict = say(!fine ? "differs" : close ? "agrees" : "rounding");
    box.append(
      make("span", fine ? "fine" : "wrong", ` ${fine ? "✓" : "✗"} ${say("recorded")} ${format(recorded)} · ${verdict}`),
    );
  }
  return box;
}
