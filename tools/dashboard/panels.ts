/**
 * The kinds of panels that the dashboard is made of, on Grafana's own builders, so that a panel that Grafana would not
 * understand does not compile. What they show is in overview.ts and details.ts; no query may stand here.
 */
import { PanelBuilder as BarGaugeBuilder } from '@grafana/grafana-foundation-sdk/bargauge';
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  BarGaugeDisplayMode,
  BigValueColorMode,
  BigValueGraphMode,
  type DataSourceRef,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  type Panel,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMap,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** Of the variable, so that a user's own data source does. */
export const DATASOURCE: DataSourceRef = { type: 'prometheus', uid: `\${datasource}` };

export type PanelBuilder = Builder<Panel>;

/** Of the 24 columns of a dashboard, and its rows. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface PanelFacts extends Size {
  readonly title: string;
  readonly description: string;
  readonly unit: string;
}

export interface Query {
  readonly expr: string;
  /** What a series is called: text with `{{label}}`. */
  readonly legend: string;
}

export interface Look {
  /** Colours from these values on; the first has none. */
  readonly steps?: readonly Threshold[];
  /** What is shown instead of a number. */
  readonly words?: ValueMap['options'];
  readonly decimals?: number;
  /** Shown where there is nothing. */
  readonly nothing?: string;
}

const ref = (index: number): string => String.fromCharCode('A'.charCodeAt(0) + index);

const target = ({ expr, legend }: Query, index: number): DataqueryBuilder =>
  new DataqueryBuilder().refId(ref(index)).datasource(DATASOURCE).expr(expr).legendFormat(legend);

const thresholds = (steps: readonly Threshold[]): ThresholdsConfigBuilder =>
  new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([...steps]);

const color = (mode: FieldColorModeId): FieldColorBuilder => new FieldColorBuilder().mode(mode);

/** What all kinds have; each builder of the SDK is a type of its own. */
type Dressable = {
  readonly [name in
    | 'title'
    | 'description'
    | 'unit'
    | 'span'
    | 'height'
    | 'datasource'
    | 'decimals'
    | 'noValue'
    | 'mappings']: (value: Parameters<StatBuilder[name]>[0]) => unknown;
};

function dress<B extends Dressable>(builder: B, facts: PanelFacts, { words, decimals, nothing }: Look): B {
  builder.title(facts.title);
  builder.description(facts.description);
  builder.unit(facts.unit);
  builder.span(facts.width);
  builder.height(facts.height);
  builder.datasource(DATASOURCE);
  if (decimals !== undefined) builder.decimals(decimals);
  if (nothing !== undefined) builder.noValue(nothing);
  if (words !== undefined) builder.mappings([{ type: MappingType.ValueToText, options: words }]);
  return builder;
}

const lastValue = (): ReduceDataOptionsBuilder => new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false);

/** One large number, or one per series. */
export function stat(facts: PanelFacts, query: Query, look: Look = {}): StatBuilder {
  return dress(new StatBuilder(), facts, look)
    .withTarget(target(query, 0).instant())
    .reduceOptions(lastValue())
    .colorMode(look.steps || look.words ? BigValueColorMode.Background : BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.None)
    .colorScheme(color(FieldColorModeId.Thresholds))
    .thresholds(thresholds(look.steps ?? [{ value: null, color: 'blue' }]));
}

/** A bar per series, from 0 to 1. */
export function bars(facts: PanelFacts, query: Query, look: Look = {}): BarGaugeBuilder {
  return dress(new BarGaugeBuilder(), facts, look)
    .withTarget(target(query, 0).instant())
    .reduceOptions(lastValue())
    .orientation(VizOrientation.Horizontal)
    .displayMode(BarGaugeDisplayMode.Gradient)
    .min(0)
    .max(1)
    .colorScheme(color(FieldColorModeId.Thresholds))
    .thresholds(thresholds(look.steps ?? [{ value: null, color: 'blue' }]));
}

/** Lines over time, from zero on. */
export function lines(facts: PanelFacts, queries: readonly Query[], look: Look = {}): TimeSeriesBuilder {
  return dress(new TimeSeriesBuilder(), facts, look)
    .targets(queries.map(target))
    .axisSoftMin(0)
    .lineWidth(1)
    .fillOpacity(10)
    .showPoints(VisibilityMode.Never)
    .colorScheme(color(FieldColorModeId.PaletteClassic))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    );
}

/** Lines that lie on each other and add up. */
export const stacked = (facts: PanelFacts, queries: readonly Query[]): TimeSeriesBuilder =>
  lines(facts, queries).fillOpacity(40).stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));

export interface Column {
  readonly title: string;
  readonly expr: string;
  readonly unit: string;
  readonly words?: ValueMap['options'];
}

/** A row per set of labels; the queries of all columns must leave the same labels, which `labels` gives titles. */
export function table(
  facts: PanelFacts,
  labels: Readonly<Record<string, string>>,
  columns: readonly Column[],
): TableBuilder {
  const value = (index: number): string => `Value #${ref(index)}`;
  const builder = dress(new TableBuilder(), facts, {})
    .targets(
      columns.map(({ expr }, index) => target({ expr, legend: '' }, index).instant().format(PromQueryFormat.Table)),
    )
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        indexByName: Object.fromEntries(
          [...Object.keys(labels), ...columns.map((_, index) => value(index))].map((name, index) => [name, index]),
        ),
        renameByName: { ...labels, ...Object.fromEntries(columns.map(({ title }, index) => [value(index), title])) },
      },
    });
  for (const { title, unit, words } of columns) {
    builder.overrideByName(title, [
      { id: 'unit', value: unit },
      ...(words ? [{ id: 'mappings', value: [{ type: MappingType.ValueToText, options: words }] }] : []),
    ]);
  }
  return builder;
}
