// The normal distribution's upper tail, on which GELU stands, and the error function.
#pragma once

#include "exp.h"
#include "pieces.h"

namespace act_ext {

inline constexpr double inverse_sqrt_2pi = 0.398942280401432677939946, inverse_sqrt_2pi_rest = -0x1.cbc0d30ebfd15p-56;
inline constexpr double two_over_sqrt_pi = 0x1.20dd750429b6dp+0, two_over_sqrt_pi_rest = 0x1.1ae3a914fed80p-56;

// Mills' ratio R(a) = P(N > a) e^(a^2/2) = erfcx(a / sqrt(2)) / 2 for a up to normal_limit. Coefficients: tools/fit.py.
template <class V>
inline constexpr double normal_limit = is_single<V> ? 14.75 : 39.0;  // where the tail is 0 after any rounding

// In float a polynomial for each of 2 + 2 a's pieces, relative error 2^-27.5 and, times a, 2^-28.9: the constant hardly
// rounds, and all else is small beside it.
template <class V>
  requires(is_single<V>)
ACT_FN V mills_ratio(V a) {
  static constexpr Pieces<6> pieces = {
      {0.0f, 0.375144958496f, 0.625148773193f, 0.874935150146f, 1.25091552734f, 1.74967956543f, 2.24990844727f,
       2.74997711182f, 3.50143432617f, 4.4998626709f, 5.49591064453f, 6.50030517578f, 7.99899291992f, 9.99859619141f,
       12.0004577637f, 13.9990234375f},
      {{0.5f, 0.379567235856f, 0.323326885722f, 0.27978056673f, 0.230659201783f, 0.185255631767f, 0.153656810499f,
        0.130725637029f, 0.106306821147f, 0.0848057716758f, 0.0703920349694f, 0.0600129775889f, 0.0491285510578f,
        0.0395121350785f, 0.0330177284658f, 0.028354618702f},
       {-0.398942279179f, -0.256549545893f, -0.196814874683f, -0.154152428368f, -0.110407106825f, -0.0748042883195f,
        -0.053228524934f, -0.0394497708301f, -0.0267159312387f, -0.0173279549929f, -0.0120739463596f,
        -0.00883961164413f, -0.00596334951687f, -0.00387639732602f, -0.00271442455461f, -0.0020053086496f},
       {0.249999755818f, 0.141661983472f, 0.100144154148f, 0.0724535943301f, 0.0462746212777f, 0.0271860492787f,
        0.0169487517722f, 0.0111198353396f, 0.00638137798231f, 0.00341617883915f, 0.00201735290104f, 0.00127640239605f,
        0.000713885088065f, 0.000376802952052f, 0.00022169598638f, 0.000141128088254f},
       {-0.132972272128f, -0.0678016527214f, -0.0447364826244f, -0.0302533317406f, -0.0175066152238f,
        -0.00907895015339f, -0.00503172425102f, -0.00295679724538f, -0.00145718162821f, -0.00065184055684f,
        -0.000328908932238f, -0.00018086580743f, -8.43174542857e-5f, -3.62965974128e-5f, -1.79898296976e-5f,
        -9.8842293777e-6f},
       {0.0623814671301f, 0.0290565791066f, 0.0180442561682f, 0.011495953018f, 0.00609352912189f, 0.00282510348356f,
        0.00140690996227f, 0.000747153945326f, 0.000319641415077f, 0.000120705850849f, 5.24124044439e-5f,
        2.51745415879e-5f, 9.83332879358e-6f, 3.46611416144e-6f, 1.45065827337e-6f, 6.8899454041e-7f},
       {-0.0257956321327f, -0.0114173499324f, -0.00671102946258f, -0.0040498827477f, -0.00199539561908f,
        -0.000833647076657f, -0.000375697918805f, -0.000181419409554f, -6.87724500539e-5f, -2.20164275702e-5f,
        -8.25243238128e-6f, -3.47086097601e-6f, -1.15756166302e-6f, -3.3307219029e-7f, -1.17503015991e-7f,
        -4.81878468219e-8f},
       {0.00775464968397f, 0.00414073646515f, 0.00231532994909f, 0.00132922278635f, 0.000608562814243f,
        0.000230847401586f, 9.4989008215e-5f, 4.20162406955e-5f, 1.40583243733e-5f, 3.85757854722e-6f, 1.2547138374e-6f,
        4.67157107877e-7f, 1.31505220416e-7f, 3.12299423925e-8f, 9.35913237288e-9f, 3.32583891264e-9f}}};
  return rounded(piecewise(pieces, to_piece(fma(a, V(2), V(2))), a));
}
template <class V>
  requires(is_single<V>)
ACT_FN Pair<V> a_times_mills_ratio(V a) {
  static constexpr Pieces<6> pieces = {
      {0.0f, 0.374908447266f, 0.625003814697f, 0.874938964844f, 1.24984741211f, 1.75006866455f, 2.24987792969f,
       2.74952697754f, 3.50007629395f, 4.49949645996f, 5.4994354248f, 6.50057983398f, 7.99887084961f, 10.0006408691f,
       12.0008850098f, 13.9985351563f},
      {{0.0f, 0.142325714262f, 0.202098369637f, 0.244790404936f, 0.28843626383f, 0.324159145296f, 0.345712721437f,
        0.35948249712f, 0.372209012371f, 0.381611823894f, 0.38688254348f, 0.390103369943f, 0.392978757785f,
        0.395067423736f, 0.396228045334f, 0.396936833943f},
       {0.499999999001f, 0.283420203392f, 0.200327223257f, 0.144906496637f, 0.0926615309887f, 0.0543509106686f,
        0.0338984258522f, 0.0222476586371f, 0.0127746417835f, 0.00683379123879f, 0.00402775785201f, 0.00255250681594f,
        0.00142783287356f, 0.000753160915224f, 0.000443345886158f, 0.000282285145422f},
       {-0.398941996811f, -0.203488259394f, -0.134241273749f, -0.0907597062875f, -0.0525996483836f, -0.0272242279919f,
        -0.0150959007911f, -0.00887451518076f, -0.00437717185281f, -0.00195615003208f, -0.000984540740913f,
        -0.000542523605878f, -0.000253001996911f, -0.000108811692242f, -5.3963807525e-5f, -2.96572659604e-5f},
       {0.249986824213f, 0.116279586946f, 0.0721961550523f, 0.0459833280538f, 0.0244157274401f, 0.0112936527478f,
        0.00562776950993f, 0.0029902066526f, 0.00128030011943f, 0.000482955918311f, 0.000209062125419f,
        0.000100677626158f, 3.93299649897e-5f, 1.385002111e-5f, 5.80145926871e-6f, 2.75638722754e-6f},
       {-0.132754644422f, -0.0569291718194f, -0.0334657949586f, -0.0201948467386f, -0.009902888315f, -0.00413315469278f,
        -0.00186637262321f, -0.000902703345866f, -0.000338493422692f, -0.00010872148373f, -4.07312029284e-5f,
        -1.72193433504e-5f, -5.66192890536e-6f, -1.63870196898e-6f, -5.81105664892e-7f, -2.39051377022e-7f},
       {0.0607205209959f, 0.0248964913226f, 0.0139144463673f, 0.00798752565568f, 0.00366953810519f, 0.0013898149276f,
        0.000571663627138f, 0.000252860183979f, 8.49246883942e-5f, 2.32710784483e-5f, 7.55824917768e-6f,
        2.80905865006e-6f, 7.95776705781e-7f, 1.88256281209e-7f, 5.63331268895e-8f, 2.00233240164e-8f},
       {-0.019939744844f, -0.00993236089029f, -0.00528344768177f, -0.00289225541153f, -0.00124399171151f,
        -0.000430402453586f, -0.000162202968172f, -6.59486256441e-5f, -1.97441085574e-5f, -4.66270271538e-6f,
        -1.32347899765e-6f, -4.35512801457e-7f, -1.04990676284e-7f, -2.05489158308e-8f, -5.22283610874e-9f,
        -1.60864066606e-9f}}};
  return piecewise(pieces, to_piece(fma(a, V(2), V(2))), a);
}

// In double R(a) (a + 4) on [0, 38.8] in t = (a - 4) / (a + 4), relative error 2^-59.3: the coefficients fall quickly,
// and it hardly cancels.
template <class V>
ACT_FN Pair<V> mills_ratio_in_two_words(V a) {
  // The sum's second word is exact also where a is the larger: 4 is a multiple of the last place.
  const auto sum = sum_of_ordered(V(4), a);
  const V inverse = V(1) / sum.hi, rest = inverse * fma(-inverse, sum.lo, fma(-inverse, sum.hi, V(1)));
  const V t = fma(V(-8), inverse, V(1)), small = fma(V(-8), rest, fma(V(-8), inverse, V(1) - t));
  const V tail =
      horner(t, 0.38713740074221483257, -0.18652185795965858291, 0.060396574890920134118, -0.0075401889666847168696,
             -0.0034796923670308643634, 0.0016308184570007727239, 0.00013334430827641093529, -0.00023109493085581490728,
             -1.908230817652887548e-6, 0.000035144668435233273986, 7.1655011087767562446e-7, -5.9201352263482295178e-6,
             -6.2938092302471324438e-7, 1.0215278458709914438e-6, 2.7125044999649773518e-7, -1.5502888664636401726e-7,
             -8.4801166379772968551e-8, 1.3449786290005313105e-8, 1.9241737442464287118e-8, 1.7622793111446944385e-9,
             -2.4201550382494735776e-9, -6.7277504401421341926e-10);
  // What the last steps round off, and t, would show where |t| is 1.
  const auto c = constant_pair<V>(-0.6078966419718921, -1.325e-17);
  const V second = fma(t, tail, c.hi), lost = fma(t, tail, c.hi - second) + c.lo;
  const auto value = step(t, second, constant_pair<V>(0.7552851304157515, -2.313e-17));
  const V below = fma(t, lost, fma(fma(t, tail, second), small, value.lo));
  return product(Pair<V>{value.hi, below}, Pair<V>{inverse, rest});
}
template <class V>
  requires(!is_single<V>)
ACT_FN V mills_ratio(V a) {
  return rounded(mills_ratio_in_two_words(a));
}
template <class V>
  requires(!is_single<V>)
ACT_FN Pair<V> a_times_mills_ratio(V a) {
  return product(mills_ratio_in_two_words(a), a);
}

// For a = |x|: P(N > a) = e^(-a^2/2) R(a). e^(-a^2/2) = (1 + q + rest) times the power.
template <class V>
struct NormalTail {
  V a, q, rest;
  Power<V> power;

  ACT_FN V ratio() const { return mills_ratio(a); }
  ACT_FN Pair<V> a_times_ratio() const { return a_times_mills_ratio(a); }
  // a times the density at 0, and a term
  ACT_FN Pair<V> a_times_density_and(V term) const {
    const auto c = constant_pair<V>(inverse_sqrt_2pi, inverse_sqrt_2pi_rest);
    const auto [hi, lo] = product_and_sum(a, c.hi, term);
    return {hi, fma(a, c.lo, lo)};
  }
  // P(N > a) a in two words
  ACT_FN Pair<V> times_a() const { return times_power_in_two_words(a_times_ratio()); }
  // factor e^(-a^2/2)
  ACT_FN V times_power(V factor) const { return scale(fma(factor, q, factor), power); }
  ACT_FN V times_power(Pair<V> factor) const { return scale(rounded(times_mantissa(factor)), power); }
  ACT_FN Pair<V> times_power_in_two_words(Pair<V> factor) const {
    const auto [hi, lo] = times_mantissa(factor);
    return {scale(hi, power), scale(lo, power)};
  }

 private:
  ACT_FN Pair<V> times_mantissa(Pair<V> factor) const {
    return step(factor.hi, q, Pair<V>{factor.hi, fma(factor.hi, rest, fma(factor.lo, q, factor.lo))});
  }
};

template <class V>
ACT_FN NormalTail<V> normal_tail(V x) {
  const V a = at_most(abs(x), V(normal_limit<V>));
  // As in exp_parts for -a^2 / 2, whose halving is left to the coefficients.
  const auto square = product(a, a);
  const V n = nearest(square.hi, -0.5 * log2_e);
  const V exact = fma(n, V(-2 * short_ln2<V>), -square.hi), small = fma(n, V(-2 * rest_of_ln2<V>), -square.lo);
  const V r = exact + small, half = V(0.5) * r, tail = expm1_tail(r, 0.5), q = fma(r * r, tail, half);
  const V rest = fma(V(0.5), (exact - r) + small, fma(r * r, tail, half - q));
  return {a, q, rest, Power<V>(select(a >= V(normal_limit<V>), V(lowest_power<V>), n))};
}

// erf(s) in two words, e^(-s^2), to which its derivative is proportional, and e^(-s^2) - 1.
template <class V>
struct ErfAndDecay {
  Pair<V> value;
  V decay, loss;
};
// (erf(s) / s - 2 / sqrt(pi)) / s^2 in z = s^2 for |s| <= 1: the error is 2^-29.6, 2^-62.7 of erf(s).
// Coefficients: tools/fit.py.
template <class V>
ACT_FN V erf_tail(V z) {
  if constexpr (is_single<V>) {
    return horner(z, -0.37612625823371261594, 0.11283585146910163544, -0.026853812023799376226,
                  0.0051883280272892979113, -0.00080101976421239634419, 0.000078538771581796149845);
  } else {
    return horner(z, -0.37612638903183747604, 0.11283791670954857493, -0.026866170645072895024,
                  0.0052239776247808678911, -0.00085483269787422305229, 0.00012055331036897567737,
                  -0.000014925593506744803451, 1.6460972812960757627e-6, -1.6350025160772114472e-7,
                  1.4657879303456519721e-8, -1.1365663436097420742e-9, 5.9452567919730493198e-11);
  }
}

// For s >= 0.
template <class V>
ACT_FN ErfAndDecay<V> erf_and_decay(V s) {
  const auto tail = normal_tail(s * V(1.41421356237309504880));
  const V decay = scale(V(1) + tail.q, tail.power);
  const V loss = select(s > V(0.5), decay - V(1), tail.q);
  const V far = fma(V(-2) * decay, tail.ratio(), V(1));
  const auto c = constant_pair<V>(two_over_sqrt_pi, two_over_sqrt_pi_rest);
  const auto linear = product(s, c.hi);
  const V z = s * s, near_rest = fma(s, fma(z, erf_tail(z), c.lo), linear.lo);
  const auto large = s > V(1);
  return {{select(large, far, linear.hi), unless(large, near_rest)}, decay, loss};
}

// Phi(x), the probability that N < x, for x up to sqrt(2), where its sum does not cancel much.
template <class V>
ACT_FN V normal_probability(V x) {
  // (1 + erf(x / sqrt(2))) / 2
  const V z = V(0.5) * x * x;
  return fma(x, fma(z, V(0.35355339059327376220) * erf_tail(z), V(inverse_sqrt_2pi)), V(0.5));
}

}  // namespace act_ext
