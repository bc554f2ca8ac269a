import type { RenderProps } from "@anywidget/types";
import { element } from "./host";

export default {
  render({ el }: RenderProps) {
    el.append(element("div"));
  },
};
