#include "nn/data/glyphs/raster.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

namespace akin {
namespace {

constexpr int kKnots = 7;             // of the elastic field, one way; knots 1..5 span the character
constexpr int kOversample = 4;        // canvas pixels a finished pixel
constexpr int kMaxShift = 16;         // canvas pixels that the edge of a stroke may move
constexpr float kMaxThinning = 0.4f;  // of the mean width, off each side: more would break strokes

struct Box {
  float x0 = std::numeric_limits<float>::max(), y0 = x0, x1 = -x0, y1 = -x0;
  void add(Point p) { x0 = std::min(x0, p.x), y0 = std::min(y0, p.y), x1 = std::max(x1, p.x), y1 = std::max(y1, p.y); }
  float longest() const { return std::max(x1 - x0, y1 - y0); }
};

Box box_of(const Outline& outline) {
  Box box;
  for (const auto& contour : outline)
    for (const Point p : contour) box.add(p);
  return box;
}

void scale_to(Outline& outline, float longest, float centre) {
  const Box box = box_of(outline);
  const float s = longest / std::max(box.longest(), 1e-6f), cx = 0.5f * (box.x0 + box.x1),
              cy = 0.5f * (box.y0 + box.y1);
  for (auto& contour : outline)
    for (Point& p : contour) p = {(p.x - cx) * s + centre, (p.y - cy) * s + centre};
}

std::array<float, 4> spline(float t) {
  const float u = 1 - t;
  return {u * u * u / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * u * u * u - 6 * u * u + 4) / 6, t * t * t / 6};
}

/// Long lines get points in between, so that the field can bend them.
void subdivide(std::vector<Point>& contour, float step) {
  std::vector<Point> fine;
  for (std::size_t i = 0; i < contour.size(); ++i) {
    const Point a = contour[i], b = contour[(i + 1) % contour.size()];
    const int n = std::max(1, static_cast<int>(std::ceil(std::hypot(b.x - a.x, b.y - a.y) / step)));
    for (int k = 0; k < n; ++k) {
      const float t = static_cast<float>(k) / static_cast<float>(n);
      fine.push_back({a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t});
    }
  }
  contour = std::move(fine);
}

/// Coordinates in canvas pixels, the character about `centre` and `longest` wide.
void bend(Outline& outline, const GlyphWarp& warp, float longest, float centre) {
  const float cell = longest / static_cast<float>(kKnots - 3);
  for (auto& contour : outline) {
    subdivide(contour, 0.06f * longest);
    for (Point& p : contour) {
      const float u = std::clamp((p.x - centre + 0.5f * longest) / cell, 0.0f, kKnots - 3.001f);
      const float v = std::clamp((p.y - centre + 0.5f * longest) / cell, 0.0f, kKnots - 3.001f);
      const int iu = static_cast<int>(u), iv = static_cast<int>(v);
      const auto wu = spline(u - static_cast<float>(iu)), wv = spline(v - static_cast<float>(iv));
      Point d;
      for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i) {
          const Point& k = warp.field[static_cast<std::size_t>((iv + j) * kKnots + iu + i)];
          const float w = wv[static_cast<std::size_t>(j)] * wu[static_cast<std::size_t>(i)];
          d.x += w * k.x, d.y += w * k.y;
        }
      p = {p.x + kOversample * d.x, p.y + kOversample * d.y};
    }
  }
}

/// Fills by the non-zero winding rule, tested at pixel centres.
void fill(const Outline& outline, int n, std::vector<std::uint8_t>& ink) {
  ink.assign(static_cast<std::size_t>(n * n), 0);
  std::vector<std::vector<std::pair<float, int>>> rows(static_cast<std::size_t>(n));
  for (const auto& contour : outline) {
    for (std::size_t i = 0; i < contour.size(); ++i) {
      Point a = contour[i], b = contour[(i + 1) % contour.size()];
      const int winding = a.y < b.y ? 1 : -1;
      if (winding < 0) std::swap(a, b);
      const int first = std::max(0, static_cast<int>(std::ceil(a.y - 0.5f)));
      const int last = std::min(n, static_cast<int>(std::ceil(b.y - 0.5f)));
      for (int y = first; y < last; ++y) {
        const float t = (static_cast<float>(y) + 0.5f - a.y) / (b.y - a.y);
        rows[static_cast<std::size_t>(y)].emplace_back(a.x + (b.x - a.x) * t, winding);
      }
    }
  }
  for (int y = 0; y < n; ++y) {
    auto& row = rows[static_cast<std::size_t>(y)];
    std::sort(row.begin(), row.end());
    int winding = 0;
    for (std::size_t k = 0; k + 1 < row.size(); ++k) {
      winding += row[k].second;
      if (winding == 0) continue;
      const int x0 = std::max(0, static_cast<int>(std::ceil(row[k].first - 0.5f)));
      const int x1 = std::min(n, static_cast<int>(std::ceil(row[k + 1].first - 0.5f)));
      for (int x = x0; x < x1; ++x) ink[static_cast<std::size_t>(y * n + x)] = 1;
    }
  }
}

/// Mean stroke width from area over half the perimeter; boundary pixel edges overstate the perimeter of a slanted edge
/// by 4/pi on average (Crofton), which is taken out.
float stroke_width(const std::vector<std::uint8_t>& ink, int n) {
  int area = 0, edges = 0;
  for (int y = 1; y < n; ++y)
    for (int x = 1; x < n; ++x) {
      const auto at = static_cast<std::size_t>(y * n + x);
      area += ink[at];
      edges += (ink[at] != ink[at - 1]) + (ink[at] != ink[at - static_cast<std::size_t>(n)]);
    }
  return edges == 0 ? 0.0f : 2.0f * static_cast<float>(area) / (static_cast<float>(edges) * 0.785398f);
}

/// Grows (shift > 0) or shrinks the ink by |shift| canvas pixels: a Euclidean distance map, exact up to that distance.
void move_edges(std::vector<std::uint8_t>& ink, int n, float shift) {
  const std::uint8_t from = shift > 0 ? 1 : 0;  // distances are measured to these pixels
  const int reach = std::min(kMaxShift, static_cast<int>(std::ceil(std::abs(shift))));
  const float limit = shift * shift;
  constexpr int kFar = 1 << 12;
  std::vector<int> along(static_cast<std::size_t>(n * n));  // squared distance within the row
  for (int y = 0; y < n; ++y) {
    int* row = along.data() + y * n;
    const std::uint8_t* source = ink.data() + y * n;
    for (int x = 0, d = kFar; x < n; ++x) row[x] = d = source[x] == from ? 0 : std::min(d + 1, kFar);
    for (int x = n - 1, d = kFar; x >= 0; --x) d = std::min(row[x], d + 1), row[x] = d;
    for (int x = 0; x < n; ++x) row[x] *= row[x];
  }
  std::vector<int> best(static_cast<std::size_t>(n));
  for (int y = 0; y < n; ++y) {
    std::fill(best.begin(), best.end(), kFar * kFar);
    for (int dy = std::max(-reach, -y); dy <= std::min(reach, n - 1 - y); ++dy) {
      const int* row = along.data() + (y + dy) * n;
      for (int x = 0; x < n; ++x)
        best[static_cast<std::size_t>(x)] = std::min(best[static_cast<std::size_t>(x)], row[x] + dy * dy);
    }
    std::uint8_t* to = ink.data() + y * n;
    for (int x = 0; x < n; ++x)
      if (static_cast<float>(best[static_cast<std::size_t>(x)]) <= limit) to[x] = from;
  }
}

/// Mean of the ink over [x0, x1) x [y0, y1), pixels cut by the border counted in part.
float coverage(const std::vector<std::uint8_t>& ink, int n, float x0, float y0, float x1, float y1) {
  float sum = 0;
  for (int y = std::max(0, static_cast<int>(y0)); y < std::min(n, static_cast<int>(std::ceil(y1))); ++y) {
    const float h = std::min(y1, static_cast<float>(y + 1)) - std::max(y0, static_cast<float>(y));
    for (int x = std::max(0, static_cast<int>(x0)); x < std::min(n, static_cast<int>(std::ceil(x1))); ++x)
      if (ink[static_cast<std::size_t>(y * n + x)] != 0)
        sum += h * (std::min(x1, static_cast<float>(x + 1)) - std::max(x0, static_cast<float>(x)));
  }
  return std::clamp(sum / ((x1 - x0) * (y1 - y0)), 0.0f, 1.0f);
}

/// Scales the inked part to `box` pixels (longest side) and puts its centre of mass in the middle of [side, side].
bool place(const std::vector<std::uint8_t>& ink, int n, int side, float box, std::vector<float>& image) {
  int x0 = n, y0 = n, x1 = 0, y1 = 0;
  double mass = 0, mx = 0, my = 0;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      if (ink[static_cast<std::size_t>(y * n + x)] != 0) {
        x0 = std::min(x0, x), x1 = std::max(x1, x + 1), y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
        mass += 1, mx += x + 0.5, my += y + 0.5;
      }
  if (mass < kOversample * kOversample) return false;
  const float step = static_cast<float>(std::max(x1 - x0, y1 - y0)) / box;  // canvas pixels a finished pixel
  const float half = 0.5f * static_cast<float>(side) * step;
  // MNIST moved its 20x20 boxes by whole pixels: the box, not the mass, lies on the pixel grid.
  const float left = static_cast<float>(x0) -
                     step * std::round((static_cast<float>(x0) - static_cast<float>(mx / mass) + half) / step);
  const float top = static_cast<float>(y0) -
                    step * std::round((static_cast<float>(y0) - static_cast<float>(my / mass) + half) / step);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const float cx = left + static_cast<float>(x) * step, cy = top + static_cast<float>(y) * step;
      image[static_cast<std::size_t>(y * side + x)] = coverage(ink, n, cx, cy, cx + step, cy + step);
    }
  return true;
}

}  // namespace

GlyphWarp draw_warp(const GlyphDistortion& ranges, Rng& rng) {
  GlyphWarp warp;
  const float shear = rng.uniform(-ranges.shear, ranges.shear), angle = rng.uniform(-ranges.rotation, ranges.rotation);
  const float stretch = std::exp(0.5f * rng.uniform(-ranges.stretch, ranges.stretch)), c = std::cos(angle),
              s = std::sin(angle);
  // rotation * shear * stretch
  const float a = stretch, b = -shear / stretch, e = 1 / stretch;
  warp.linear = {c * a, c * b - s * e, s * a, s * b + c * e};
  const float strength = rng.uniform(0, ranges.elastic) * 1.5f;  // the spline smooths its knots' deviation to about 2/3
  for (Point& p : warp.field) p.x = strength * rng.normal(), p.y = strength * rng.normal();
  warp.stroke = rng.uniform(ranges.stroke_min, ranges.stroke_max);
  return warp;
}

bool draw_glyph(const Outline& outline, int side, const GlyphWarp* warp, std::vector<float>& image) {
  const float box = std::round(static_cast<float>(side) * 20.0f / 28.0f);
  const float longest = box * kOversample;
  const int n = static_cast<int>(longest) + 2 * (kMaxShift + 2);
  const float centre = 0.5f * static_cast<float>(n);
  Outline shape = outline;
  if (warp != nullptr) {
    for (auto& contour : shape)
      for (Point& p : contour)
        p = {warp->linear[0] * p.x + warp->linear[1] * p.y, warp->linear[2] * p.x + warp->linear[3] * p.y};
    scale_to(shape, longest, centre);
    bend(shape, *warp, longest, centre);
  }
  scale_to(shape, longest, centre);
  std::vector<std::uint8_t> ink;
  fill(shape, n, ink);
  if (warp != nullptr) {
    const float width = stroke_width(ink, n), wanted = warp->stroke * kOversample;
    const float shift = std::clamp(0.5f * (wanted - width), -kMaxThinning * width, static_cast<float>(kMaxShift));
    if (std::abs(shift) >= 0.5f) move_edges(ink, n, shift);
  }
  return place(ink, n, side, box, image);
}

}  // namespace akin
