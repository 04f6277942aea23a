/* wafer2token report: draws the charts whose options stand in #w2t-data. Functions are named there, defined here. */
(function () {
  "use strict";
  var root = document.documentElement;
  var options = JSON.parse(document.getElementById("w2t-data").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var drawn = [];

  function ink(name) { return getComputedStyle(root).getPropertyValue("--" + name).trim(); }

  function digits(value) { return String(Number(value.toPrecision(3))); }

  function scaled(value, steps) {
    var size = Math.abs(value);
    for (var i = 0; i < steps.length; i++) {
      if (size >= steps[i][0] * 0.9995) { return digits(value / steps[i][0]) + " " + steps[i][1]; }
    }
    return digits(value);
  }

  var COUNTS = [[1e12, "tn"], [1e9, "bn"], [1e6, "M"], [1e3, "k"]];
  var PREFIXES = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  var PREFIXED = /^(B|bit|FLOP|FLOP\/s|B\/s|bit\/s|W|Wh|J|Hz)$/;

  function axisText(unit) {
    return function (value) {
      if (unit === "%") { return digits(100 * value) + " %"; }
      if (value !== 0 && Math.abs(value) < 1e4 && !PREFIXED.test(unit)) { return digits(value); }
      return scaled(value, PREFIXED.test(unit) ? PREFIXES : COUNTS);
    };
  }

  function rangeBar(vertical) {
    return function (params, api) {
      var row = api.value(0), low = api.value(1), high = api.value(2), middle = api.value(3);
      if (isNaN(low) || isNaN(high)) { return null; }
      var a = api.coord(vertical ? [row, low] : [low, row]);
      var b = api.coord(vertical ? [row, high] : [high, row]);
      var band = vertical ? api.size([1, 0])[0] : api.size([0, 1])[1];
      var half = Math.max(2, Math.min(vertical ? 15 : 9, band * 0.32));
      var shape = vertical
        ? { x: a[0] - half, y: b[1], width: 2 * half, height: Math.max(1, a[1] - b[1]), r: 3 }
        : { x: a[0], y: a[1] - half, width: Math.max(1, b[0] - a[0]), height: 2 * half, r: 2 };
      var paint = api.visual("color");
      var children = [{ type: "rect", shape: shape, style: { fill: paint, opacity: vertical ? 0.7 : 1 } }];
      if (vertical && !isNaN(middle)) {
        var y = api.coord([row, middle])[1];
        children.push({ type: "line", shape: { x1: a[0] - half, x2: a[0] + half, y1: y, y2: y },
          style: { stroke: ink("ink"), lineWidth: 1.8 } });
      }
      return { type: "group", children: children };
    };
  }

  function errorBar(params, api) {
    var low = api.coord([api.value(0), api.value(2)]), high = api.coord([api.value(1), api.value(2)]);
    var style = { stroke: ink("ink"), lineWidth: 1.2, fill: "none" };
    function line(x1, y1, x2, y2) { return { type: "line", shape: { x1: x1, y1: y1, x2: x2, y2: y2 }, style: style }; }
    return { type: "group", children: [
      line(low[0], low[1], high[0], high[1]),
      line(low[0], low[1] - 4, low[0], low[1] + 4),
      line(high[0], high[1] - 4, high[0], high[1] + 4)
    ] };
  }

  function slice(series) {
    return function (params, api) {
      var row = api.value(0);
      var a = api.coord([api.value(1), row]), b = api.coord([api.value(2), row]);
      var height = Math.min(24, api.size([0, 1])[1] * 0.7);
      var area = params.coordSys;
      var shape = echarts.graphic.clipRectByRect(
        { x: a[0], y: a[1] - height / 2, width: Math.max(1, b[0] - a[0]), height: height },
        { x: area.x, y: area.y, width: area.width, height: area.height });
      if (!shape) { return null; }
      shape.r = Math.min(2, shape.width / 4);
      var children = [{ type: "rect", shape: shape,
        style: { fill: api.visual("color"), stroke: ink("paper"), lineWidth: shape.width > 4 ? 1 : 0 } }];
      if (shape.width > 17) {
        children.push({ type: "text", silent: true, style: { text: series.data[params.dataIndex].name, x: shape.x + 4,
          y: a[1], verticalAlign: "middle", fill: "#fff", fontSize: 11, width: shape.width - 5, overflow: "truncate" } });
      }
      return { type: "group", children: children };
    };
  }

  var FUNCTIONS = {
    ramp: function (spec) { return [ink("raised"), spec.to]; },
    paper: function () { return ink("paper"); },
    axis: function (spec) { return axisText(spec.unit || ""); },
    tip: function () { return function (p) { return (p.data && p.data.tip) || ""; }; },
    error_bar: function () { return errorBar; },
    range_bar: function (spec) { return rangeBar(spec.vertical); },
    slice: function (spec, owner) { return slice(owner); }
  };

  function revive(value) {
    if (Array.isArray(value)) { return value.map(revive); }
    if (value === null || typeof value !== "object") { return value; }
    var out = {};
    Object.keys(value).forEach(function (key) {
      var item = value[key];
      out[key] = item && item.fn ? FUNCTIONS[item.fn](item, value) : revive(item);
    });
    return out;
  }

  function theme() {
    var text = ink("ink"), quiet = ink("quiet"), line = ink("line");
    var axis = {
      axisLine: { lineStyle: { color: quiet } }, axisTick: { lineStyle: { color: quiet } },
      axisLabel: { color: quiet, fontSize: 12 }, splitLine: { lineStyle: { color: line } },
      minorSplitLine: { lineStyle: { color: line } }, nameTextStyle: { color: quiet, fontSize: 12.5 }
    };
    var label = { color: text, textBorderColor: "transparent", textBorderWidth: 0 };
    return {
      backgroundColor: "transparent",
      textStyle: { fontFamily: ink("sans"), color: text },
      title: { textStyle: { color: text }, subtextStyle: { color: quiet } },
      legend: { textStyle: { color: text, fontSize: 12.5 }, pageTextStyle: { color: quiet } },
      tooltip: { backgroundColor: ink("raised"), borderColor: line, textStyle: { color: text, fontSize: 13 } },
      visualMap: { textStyle: { color: quiet } },
      categoryAxis: axis, valueAxis: axis, logAxis: axis, timeAxis: axis,
      bar: { label: label }, scatter: { label: label }, heatmap: { label: label }, graph: { label: label,
        lineStyle: { color: quiet } }, sankey: { label: label }, line: { markLine: { label: label } },
      custom: { markLine: { label: label } },
      markPoint: { label: label }
    };
  }

  function draw(width) {
    drawn.forEach(function (chart) { chart.dispose(); });
    drawn = [];
    document.querySelectorAll("[data-chart]").forEach(function (box) {
      var chart = echarts.init(box, theme(), { renderer: "svg", width: width || undefined });
      chart.setOption(revive(options[box.dataset.chart]));
      drawn.push(chart);
    });
  }

  function wear(name) { root.dataset.theme = name; if (window.echarts) { draw(); } }

  wear(dark.matches ? "dark" : "light");
  dark.addEventListener("change", function () { wear(dark.matches ? "dark" : "light"); });
  document.getElementById("w2t-theme").addEventListener("click", function () {
    wear(root.dataset.theme === "dark" ? "light" : "dark");
  });
  window.addEventListener("resize", function () { drawn.forEach(function (chart) { chart.resize(); }); });

  var worn = null;
  window.addEventListener("beforeprint", function () {
    worn = root.dataset.theme;
    root.dataset.theme = "light";
    if (window.echarts) { draw(680); }
  });
  window.addEventListener("afterprint", function () { wear(worn || "light"); });
})();
