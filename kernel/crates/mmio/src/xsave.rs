//! Vector registers in the area in which XSAVE, or FXSAVE, has saved a guest's extended state [SDM1 10.5.1, 13.4].

use crate::Vector;

/// State components: SSE and AVX.
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
/// Where XMM0 is.
const XMM: usize = 160;
/// Where XSTATE_BV is: which components are not in their initial state. The header follows what FXSAVE knows.
const XSTATE_BV: core::ops::Range<usize> = 512..520;
/// Bytes of half a vector register.
const HALF: usize = 16;

/// Where the halves of vector registers are.
#[derive(Clone, Copy, Debug)]
pub struct VectorLayout {
    /// XSAVE saved the area, with its header; FXSAVE always saves XMM.
    pub xsave: bool,
    /// Where the high half of YMM0 is, if it was saved: CPUID.(EAX=0DH,ECX=2):EBX.
    pub high: Option<usize>,
}

impl VectorLayout {
    /// Vector register `number`; zeros where it is in its initial state, whatever the area holds.
    #[must_use]
    pub fn read(&self, area: &[u8], number: u8) -> Vector {
        let mut value = Vector::default();
        for ((bytes, place), component) in
            value.chunks_exact_mut(HALF).zip(self.places(number)).zip([SSE, AVX])
        {
            let saved = place.and_then(|place| area.get(place..place + HALF));
            if let Some(saved) = saved.filter(|_| self.held(area) & component != 0) {
                bytes.copy_from_slice(saved);
            }
        }
        value
    }

    /// Sets vector register `number`; its high half only where there is one.
    pub fn write(&self, area: &mut [u8], number: u8, value: &Vector) {
        let held = self.held(area);
        for (half, component) in [SSE, AVX].into_iter().enumerate() {
            // What was in its initial state is not any more, and the other registers of the component are zeros.
            for number in (0..16).filter(|_| held & component == 0) {
                if let Some(place) = self.places(number)[half] {
                    area.iter_mut().skip(place).take(HALF).for_each(|byte| *byte = 0);
                }
            }
            let saved = self.places(number)[half].and_then(|place| area.get_mut(place..place + HALF));
            if let Some(saved) = saved {
                saved.copy_from_slice(&value[HALF * half..HALF * (half + 1)]);
            }
        }
        let all = held | SSE | if self.high.is_some() { AVX } else { 0 };
        if let Some(header) = area.get_mut(XSTATE_BV).filter(|_| self.xsave) {
            header.copy_from_slice(&all.to_le_bytes());
        }
    }

    fn places(&self, number: u8) -> [Option<usize>; 2] {
        let offset = HALF * usize::from(number & 15);
        [Some(XMM + offset), self.high.map(|high| high + offset)]
    }

    /// The components that are not in their initial state.
    fn held(&self, area: &[u8]) -> u64 {
        let header = area.get(XSTATE_BV).and_then(|header| header.try_into().ok());
        if self.xsave { u64::from_le_bytes(header.unwrap_or_default()) } else { SSE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_come_back_and_the_others_stay() {
        for layout in [
            VectorLayout { xsave: true, high: Some(576) },
            VectorLayout { xsave: true, high: None },
            VectorLayout { xsave: false, high: None },
        ] {
            let mut area = [0xee; 832];
            area[XSTATE_BV].copy_from_slice(&(1u64 | AVX).to_le_bytes());
            let value: Vector = core::array::from_fn(|n| n as u8);
            let other = layout.read(&area, 4);
            let sse = if layout.xsave { 0 } else { 0xee };
            assert_eq!((other[0], other[31]), (sse, if layout.high.is_some() { 0xee } else { 0 }));
            layout.write(&mut area, 3, &value);
            assert_eq!(layout.read(&area, 3)[..16], value[..16]);
            assert_eq!(layout.read(&area, 3)[16..] == value[16..], layout.high.is_some());
            assert_eq!(layout.read(&area, 4), other);
            let held = u64::from_le_bytes(area[XSTATE_BV].try_into().unwrap());
            assert_eq!(held, 1 | AVX | if layout.xsave { SSE } else { 0 });
        }
    }

    #[test]
    fn an_area_that_is_too_short_holds_zeros() {
        let layout = VectorLayout { xsave: true, high: Some(576) };
        layout.write(&mut [0; 100], 15, &[1; 32]);
        assert_eq!(layout.read(&[0xff; 500], 3), [0; 32]);
    }
}
