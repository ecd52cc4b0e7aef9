//! The kernels: the body compiled for each instruction set, and the choice between them.

use alloc::vec::Vec;

use crate::body;
use crate::word::{MaskingKey, Word};

/// The masking, compiled for one instruction set. A `Kernel` exists only for instructions that this machine has, so
/// running it is safe.
///
/// [`apply`](crate::apply()) and the other functions of this crate use the best kernel; this type is for comparing
/// them.
///
/// ```
/// use sansocket_mask::Kernel;
///
/// for kernel in Kernel::all() {
///     let mut payload = *b"Hello";
///     kernel.apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
///     assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58], "{kernel:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kernel(Instructions);

/// A value other than `Portable` is created only where those instructions were detected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Instructions {
    Portable,
    #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
    Avx2,
    #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
    Avx512,
    #[cfg(all(feature = "simd", target_arch = "aarch64"))]
    Neon,
}

impl Kernel {
    /// The kernel for every machine of this architecture.
    pub const PORTABLE: Self = Self(Instructions::Portable);

    /// Returns the kernel with 32-byte vectors, if this machine has AVX2.
    #[inline(always)]
    pub fn avx2() -> Option<Self> {
        #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Some(Self(Instructions::Avx2));
        }
        None
    }

    /// Returns the kernel with 64-byte vectors, if this machine has AVX-512 F, BW and VL.
    #[inline(always)]
    pub fn avx512() -> Option<Self> {
        #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
        {
            return Some(Self(Instructions::Avx512));
        }
        None
    }

    /// Returns the kernel with 16-byte vectors of ARM, if this machine has NEON.
    #[inline(always)]
    pub fn neon() -> Option<Self> {
        #[cfg(all(feature = "simd", target_arch = "aarch64"))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Some(Self(Instructions::Neon));
        }
        None
    }

    /// Returns the fastest kernel that this machine can run. The instructions are detected once.
    ///
    /// AVX-512 is not chosen: measured on a Zen 4, its vectors were at no length faster than those of AVX2, and slower
    /// on bytes that narrower vectors had just written.
    #[inline(always)]
    pub fn best() -> Self {
        Self::avx2().or_else(Self::neon).unwrap_or(Self::PORTABLE)
    }

    /// Returns all kernels that this machine can run.
    pub fn all() -> impl Iterator<Item = Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512(), Self::neon()].into_iter().flatten()
    }

    /// As [`crate::apply`].
    #[inline]
    pub fn apply(self, payload: &mut [u8], key: MaskingKey, offset: usize) {
        let word = Word::new(key, offset);
        if payload.len() < body::SHORT {
            body::apply_short(payload, word);
        } else {
            self.apply_blocks(payload, word);
        }
    }

    /// As [`crate::copy`].
    ///
    /// # Panics
    ///
    /// If `output` is not as long as `payload`.
    #[inline]
    pub fn copy(self, output: &mut [u8], payload: &[u8], key: MaskingKey, offset: usize) {
        assert_eq!(output.len(), payload.len(), "`output` must be as long as `payload`");
        let word = Word::new(key, offset);
        if payload.len() < body::SHORT {
            body::copy_short(output, payload, word);
        } else {
            self.copy_blocks(output, payload, word);
        }
    }

    /// As [`crate::append`].
    #[inline]
    pub fn append(self, output: &mut Vec<u8>, payload: &[u8], key: MaskingKey, offset: usize) {
        let word = Word::new(key, offset);
        if payload.len() < body::SHORT {
            body::append_short(output, payload, word);
        } else {
            self.append_blocks(output, payload, word);
        }
    }
}

/// Compiles `$function` of the body for each instruction set, and gives `Kernel` a method that runs the right one.
macro_rules! instances {
    ($run:ident = $function:ident($($name:ident: $type:ty),*)) => {
        impl Kernel {
            #[cfg_attr(
                all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")),
                expect(unsafe_code, reason = "calls functions compiled for detected instructions")
            )]
            #[inline(always)]
            pub(crate) fn $run(self, $($name: $type,)* word: Word) {
                fn portable($($name: $type,)* word: Word) {
                    body::$function($($name,)* word);
                }

                #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
                #[target_feature(enable = "avx2")]
                fn avx2($($name: $type,)* word: Word) {
                    body::$function($($name,)* word);
                }

                #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
                #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
                fn avx512($($name: $type,)* word: Word) {
                    body::$function($($name,)* word);
                }

                #[cfg(all(feature = "simd", target_arch = "aarch64"))]
                #[target_feature(enable = "neon")]
                fn neon($($name: $type,)* word: Word) {
                    body::$function($($name,)* word);
                }

                match self.0 {
                    Instructions::Portable => portable($($name,)* word),
                    #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
                    // SAFETY: this value is created only where AVX2 was detected.
                    Instructions::Avx2 => unsafe { avx2($($name,)* word) },
                    #[cfg(all(feature = "simd", any(target_arch = "x86", target_arch = "x86_64")))]
                    // SAFETY: this value is created only where AVX-512 F, BW and VL were detected.
                    Instructions::Avx512 => unsafe { avx512($($name,)* word) },
                    #[cfg(all(feature = "simd", target_arch = "aarch64"))]
                    // SAFETY: this value is created only where NEON was detected.
                    Instructions::Neon => unsafe { neon($($name,)* word) },
                }
            }
        }
    };
}

instances!(apply_blocks = apply(payload: &mut [u8]));
instances!(copy_blocks = copy(output: &mut [u8], payload: &[u8]));
instances!(append_blocks = append(output: &mut Vec<u8>, payload: &[u8]));
